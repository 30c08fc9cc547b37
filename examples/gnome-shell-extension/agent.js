// An agent of plain D-Bus for GJS: registers with eventd, answers its calls, emits events. See docs/agents.md.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

const MANAGER = 'org.guestmux.Manager1';
const MANAGER_PATH = '/org/guestmux/Manager1';
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const ERROR = 'org.guestmux.Error.';

const AGENT1 = `<node><interface name="org.guestmux.Agent1">
  <method name="Call">
    <arg type="s" direction="in"/><arg type="a{sv}" direction="in"/><arg type="a{sv}" direction="in"/>
    <arg type="a{sv}" direction="out"/>
  </method>
  <method name="Cancel"><arg type="t" direction="in"/></method>
  <method name="Release"/>
</interface></node>`;

/** What a command throws: its text is for people at the host. */
export class CommandError extends Error {
}

export class Agent {
    /**
     * @param {object} what - describes the agent
     * @param {string} what.name - as it registers
     * @param {string} what.version - for people
     * @param {string} what.path - of its object
     * @param {object} what.commands - by name {schema, run(arguments) -> any JSON}
     * @param {object} what.events - by name the schema
     * @param {function()} what.wantedChanged - hosts want other events than before, or it was registered
     * @param {Gio.DBusConnection} bus - the system bus
     */
    constructor(what, bus = Gio.DBus.system) {
        this._what = what;
        this._bus = bus;
        this._eventd = null;
        this._registered = false;
        this._wanted = [];
        this._object = Gio.DBusExportedObject.wrapJSObject(AGENT1, this);
    }

    start() {
        this._object.export(this._bus, this._what.path);
        this._watch = Gio.bus_watch_name_on_connection(this._bus, MANAGER, Gio.BusNameWatcherFlags.NONE,
            (_bus, _name, owner) => this._register(owner), () => this._lose());
        this._changes = this._bus.signal_subscribe(MANAGER, PROPERTIES, 'PropertiesChanged', MANAGER_PATH, MANAGER,
            Gio.DBusSignalFlags.NONE, (_bus, _sender, _path, _interface, _signal, parameters) => {
                const {Sessions: sessions, WantedEvents: wanted} = parameters.deepUnpack()[1];
                if (wanted)
                    this._want(wanted.deepUnpack());
                // At login systemd may start this before logind knows of the session.
                if (sessions && this._eventd && !this._registered)
                    this._register(this._eventd);
            });
    }

    stop() {
        Gio.bus_unwatch_name(this._watch);
        this._bus.signal_unsubscribe(this._changes);
        if (this._registered)
            this._ask('UnregisterAgent', new GLib.Variant('(o)', [this._what.path]), () => {});
        this._lose();
        this._object.unexport();
    }

    /** Whether a host subscribed to an event: watch nothing for nobody. */
    wanted(event) {
        return this._registered && this._wanted.some(pattern => pattern.test(event));
    }

    /** Emit an event. Nobody waits for its number; why one was refused is logged. */
    emit(event, data) {
        if (this._registered)
            this._ask('Emit', new GLib.Variant('(sa{sv})', [event, members(data)]), () => {});
    }

    _register(owner) {
        this._eventd = owner;
        const schemas = each => Object.fromEntries(
            Object.entries(each).map(([name, one]) => [name, JSON.stringify(one.schema ?? one)]));
        const properties = {
            version: new GLib.Variant('s', this._what.version),
            commands: new GLib.Variant('a{ss}', schemas(this._what.commands)),
            events: new GLib.Variant('a{ss}', schemas(this._what.events)),
        };
        const body = new GLib.Variant('(osa{sv})', [this._what.path, this._what.name, properties]);
        this._ask('RegisterAgent', body, reply => {
            this._registered = true;
            console.log(`guestmux: registered in session ${reply.deepUnpack()[0]}`);
            const asked = new GLib.Variant('(ss)', [MANAGER, 'WantedEvents']);
            this._ask('Get', asked, got => this._want(got.recursiveUnpack()[0]), PROPERTIES);
        });
    }

    _want(globs) {
        const expression = glob => glob.replace(/[.+^$(){}|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
        this._wanted = globs.map(glob => new RegExp(`^${expression(glob)}$`));
        this._what.wantedChanged?.();
    }

    _lose() {
        this._eventd = null;
        this._registered = false;
        this._want([]);
    }

    _ask(method, body, then, iface = MANAGER) {
        const eventd = this._eventd;
        this._bus.call(eventd, MANAGER_PATH, iface, method, body, null, Gio.DBusCallFlags.NONE, -1, null,
            (bus, result) => {
                try {
                    const reply = bus.call_finish(result);
                    if (this._eventd === eventd)
                        then(reply);
                } catch (error) {
                    console.warn(`guestmux: ${method}: ${error.message}`);
                }
            });
    }

    // What eventd calls: GJS gives methods with this ending the invocation, which knows the caller.

    CallAsync([command, args, _context], invocation) {
        this._answer(invocation, () => {
            const one = Object.hasOwn(this._what.commands, command) ? this._what.commands[command] : null;
            if (!one)
                throw new Refusal('CommandNotFound', `The command ${command.slice(0, 128)} has not been found`);
            return new GLib.Variant('(a{sv})', [{return: variant(one.run(plain(args)) ?? {})}]);
        });
    }

    CancelAsync(_parameters, invocation) {
        this._answer(invocation, () => null);
    }

    ReleaseAsync(_parameters, invocation) {
        this._answer(invocation, () => {
            this._lose();
            return null;
        });
    }

    _answer(invocation, make) {
        try {
            if (invocation.get_sender() !== this._eventd)
                throw new Refusal('Denied', 'only eventd may call');
            invocation.return_value(make());
        } catch (error) {
            if (!(error instanceof Refusal || error instanceof CommandError))
                console.error(error);
            const known = error instanceof Refusal || error instanceof CommandError;
            invocation.return_dbus_error(ERROR + (error.kind ?? 'CommandFailed'),
                known ? error.message : 'internal error; the log says more');
        }
    }
}

class Refusal extends Error {
    constructor(kind, text) {
        super(text);
        this.kind = kind;
    }
}

/** A JSON value as a variant. */
export function variant(value) {
    if (value === null || value === undefined)
        return new GLib.Variant('g', '');
    if (Array.isArray(value))
        return new GLib.Variant('av', value.map(variant));
    switch (typeof value) {
    case 'boolean':
        return new GLib.Variant('b', value);
    case 'number':
        return new GLib.Variant(Number.isSafeInteger(value) ? 'x' : 'd', value);
    case 'string':
        return new GLib.Variant('s', value);
    default:
        return new GLib.Variant('a{sv}', members(value));
    }
}

function members(object) {
    return Object.fromEntries(Object.entries(object)
        .filter(([_name, value]) => value !== undefined)
        .map(([name, value]) => [name, variant(value)]));
}

/** What came as variants, as JSON values. */
function plain(value) {
    if (value instanceof GLib.Variant)
        return value.get_type_string() === 'g' ? null : plain(value.deepUnpack());
    if (Array.isArray(value))
        return value.map(plain);
    if (value !== null && typeof value === 'object')
        return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
    return value;
}

// The session's applications as GNOME Shell knows them: commands and events of docs/desktop.md for Agent.
import GLib from 'gi://GLib';
import {Agent, CommandError} from './agent.js';

const STARTED = 'APP_STARTED';
const EXITED = 'APP_EXITED';
const FOCUSED = 'APP_FOCUSED';

// Changes are looked at so much later: a window has no name when it comes, and belongs to another application then.
const SETTLE_MILLISECONDS = 200;

export class Apps {
    /**
     * @param {object} shell - what is asked of GNOME Shell
     * @param {Shell.AppSystem} shell.system - knows the applications
     * @param {Shell.WindowTracker} shell.tracker - knows which has the focus
     * @param {function(): number} shell.now - the display server's time
     * @param {function(Meta.Window)} shell.activate - brings a window to the front
     * @param {Gio.DBusConnection} bus - the system bus
     */
    constructor(shell, bus) {
        this._shell = shell;
        this._running = new Map();
        this._focused = null;
        this._timer = 0;
        // The schemas of these names are eventd's own: it takes no others.
        const known = run => ({schema: {}, run});
        this._agent = new Agent({
            name: 'org.guestmux.gnome-shell',
            version: '1',
            path: '/org/guestmux/GnomeShell',
            commands: {
                'session-list-apps': known(() => this._list()),
                'session-focus-app': known(asked => this._focus(asked)),
                'session-close-app': known(asked => this._close(asked)),
            },
            events: {[STARTED]: {}, [EXITED]: {}, [FOCUSED]: {}},
        }, bus);
    }

    start() {
        this._settle();
        this._signals = [
            [this._shell.system, this._shell.system.connect('app-state-changed', () => this._touch())],
            [this._shell.tracker, this._shell.tracker.connect('notify::focus-app', () => this._touch())],
        ];
        this._agent.start();
    }

    stop() {
        this._agent.stop();
        for (const [source, handler] of this._signals)
            source.disconnect(handler);
        if (this._timer)
            GLib.source_remove(this._timer);
        this._timer = 0;
        this._running.clear();
    }

    _touch() {
        this._timer ||= GLib.timeout_add(GLib.PRIORITY_DEFAULT, SETTLE_MILLISECONDS, () => {
            this._timer = 0;
            this._settle();
            return GLib.SOURCE_REMOVE;
        });
    }

    /** Tell what is not as it was. */
    _settle() {
        const running = new Map(this._known().map(app => [app.get_id(), described(app)]));
        for (const [id, app] of this._running) {
            if (!running.has(id)) {
                // As it was told when it started: it has no process to describe it by any more.
                this._tell(EXITED, app);
                this._running.delete(id);
            }
        }
        for (const [id, app] of running) {
            if (!this._running.has(id)) {
                this._running.set(id, app);
                this._tell(STARTED, app);
            }
        }
        const focused = this._focusApp()?.get_id() ?? null;
        if (focused !== this._focused && (focused === null || this._running.has(focused))) {
            this._focused = focused;
            this._tell(FOCUSED, this._running.get(focused) ?? {});
        }
    }

    /** The running applications that have a name. */
    _known() {
        return this._shell.system.get_running().filter(app => described(app)['app-id']);
    }

    _tell(event, data) {
        if (this._agent.wanted(event))
            this._agent.emit(event, data);
    }

    _focusApp() {
        return this._shell.tracker.focus_app;
    }

    _list() {
        const focused = this._focusApp()?.get_id();
        const apps = this._known().map(app => ({
            ...described(app),
            windows: app.get_n_windows(),
            focused: app.get_id() === focused,
        }));
        return {apps, truncated: false};
    }

    _focus(asked) {
        const app = this._find(asked);
        const [window] = app.get_windows();
        if (!window)
            throw new CommandError(`${asked['app-id']} has no window`);
        this._shell.activate(window);
        return {};
    }

    _close(asked) {
        const app = this._find(asked);
        const windows = app.get_windows();
        for (const window of windows)
            window.delete(this._shell.now());
        if (!windows.length)
            app.request_quit();
        return {windows: windows.length};
    }

    _find(asked) {
        const wanted = asked['app-id'].replace(/\.desktop$/, '');
        const found = this._known().find(app => described(app)['app-id'] === wanted &&
            (asked.pid === undefined || app.get_pids().includes(asked.pid)));
        if (!found)
            throw new CommandError(`no application '${wanted.slice(0, 100)}' is running; session-list-apps tells which are`);
        return found;
    }
}

/** An application as events have it. One without a desktop file goes by what its windows call themselves. */
function described(app) {
    const id = app.is_window_backed() ? app.get_windows()[0]?.get_wm_class() ?? '' : app.get_id();
    const [pid] = app.get_pids();
    return {'app-id': id.replace(/\.desktop$/, ''), name: app.get_name() || id, ...pid ? {pid} : {}};
}

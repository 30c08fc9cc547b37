// What the extension asks of GNOME Shell, played: `import Shell`, `import * as Main`, `Extension` and `global` for it.
// It is told what happens by lines on its input: `open ID NAME PID WM_CLASS`, `focus ID`, `exit ID`, `lock`, `unlock`.
// What is done to windows it says on its output.
import Gio from 'gi://Gio';
import GLib from 'gi://GLib';

class Source {
    constructor() {
        this._handlers = new Map();
        this._last = 0;
    }

    connect(signal, handler) {
        this._handlers.set(++this._last, [signal, handler]);
        return this._last;
    }

    disconnect(id) {
        if (!this._handlers.delete(id))
            throw new Error(`no handler ${id}`);
    }

    emit(signal, ...args) {
        for (const [wanted, handler] of [...this._handlers.values()]) {
            if (wanted === signal)
                handler(this, ...args);
        }
    }
}

class App {
    constructor(id, name, pid, wmClass) {
        Object.assign(this, {id, name, pid, wmClass});
        this.window = {
            get_wm_class: () => this.wmClass || null,
            get_compositor_private: () => ({}),
            delete: time => print(`delete ${this.id} ${time}`),
            app: this,
        };
    }

    get_id() {
        return this.id;
    }

    get_name() {
        return this.name;
    }

    get_pids() {
        return this.pid ? [this.pid] : [];
    }

    get_windows() {
        return [this.window];
    }

    get_n_windows() {
        return 1;
    }

    is_window_backed() {
        return this.id.startsWith('window:');
    }
}

const apps = new Map();
const system = new Source();
system.get_running = () => [...apps.values()];
const tracker = new Source();
tracker.focus_app = null;

export default {
    AppSystem: {get_default: () => system},
    WindowTracker: {get_default: () => tracker},
};

export const overview = Object.assign(new Source(), {visible: true});

export function activateWindow(window, time) {
    print(`activate ${window.app.id} ${time}`);
    tracker.focus_app = window.app;
    tracker.emit('notify::focus-app');
    if (overview.visible) {
        overview.visible = false;
        // As the real one does: after its animation.
        overview.visible = true;
        GLib.timeout_add(GLib.PRIORITY_DEFAULT, 10, () => {
            overview.visible = false;
            overview.emit('hidden');
            return GLib.SOURCE_REMOVE;
        });
    }
}

export class Extension {
}

globalThis.global = {display: {get_current_time_roundtrip: () => 1234}};

const OPENED = {
    open(id, name, pid, wmClass) {
        apps.set(id, new App(id, name, Number(pid), wmClass));
        system.emit('app-state-changed', apps.get(id));
    },
    exit(id) {
        const app = apps.get(id);
        apps.delete(id);
        app.pid = 0;
        app.name = '';
        system.emit('app-state-changed', app);
    },
    focus(id) {
        tracker.focus_app = apps.get(id) ?? null;
        tracker.emit('notify::focus-app');
    },
};

/** Run the extension until the input ends. */
export function play(GuestmuxExtension) {
    const loop = new GLib.MainLoop(null, false);
    const extension = new GuestmuxExtension();
    const input = new Gio.DataInputStream({base_stream: new Gio.UnixInputStream({fd: 0, close_fd: false})});
    const next = () => input.read_line_async(GLib.PRIORITY_DEFAULT, null, (_input, result) => {
        const [line] = input.read_line_finish_utf8(result);
        if (line === null) {
            loop.quit();
            return;
        }
        const [what, ...words] = line.split(' ');
        if (what === 'disable')
            extension.disable();
        else
            OPENED[what](...words);
        next();
    });
    extension.enable();
    next();
    loop.run();
}

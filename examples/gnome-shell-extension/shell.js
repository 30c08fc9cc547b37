// What Apps asks of GNOME Shell.
import GLib from 'gi://GLib';

/** It is given Shell and Main: how these are imported differs between versions. */
export function asked(Shell, Main) {
    return {
        system: Shell.AppSystem.get_default(),
        tracker: Shell.WindowTracker.get_default(),
        now,
        activate: window => activate(Main, window),
    };
}

// A host's call is no event of the user's: get_current_time() would be 0, and the window only ask for attention.
function now() {
    return global.display.get_current_time_roundtrip();
}

function activate(Main, window) {
    Main.activateWindow(window, now());
    if (!Main.overview.visible)
        return;
    // The overview, once hidden, lets go the keyboard, which then goes to the topmost window.
    const hidden = Main.overview.connect('hidden', () => {
        Main.overview.disconnect(hidden);
        GLib.idle_add(GLib.PRIORITY_DEFAULT_IDLE, () => {
            if (window.get_compositor_private())
                Main.activateWindow(window, now());
            return GLib.SOURCE_REMOVE;
        });
    });
}

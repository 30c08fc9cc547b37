// Tells guestmux of the session's applications, which GNOME on Wayland shows to nobody else.
import Shell from 'gi://Shell';
import {Extension} from 'resource:///org/gnome/shell/extensions/extension.js';
import * as Main from 'resource:///org/gnome/shell/ui/main.js';
import {Apps} from './apps.js';
import {asked} from './shell.js';

export default class GuestmuxExtension extends Extension {
    enable() {
        this._apps = new Apps(asked(Shell, Main));
        this._apps.start();
    }

    // It stays while the screen is locked (session-modes in metadata.json): hosts are told of exits then as well.
    disable() {
        this._apps.stop();
        this._apps = null;
    }
}

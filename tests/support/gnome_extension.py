"""The GNOME Shell extension of examples/, as copies that other shells than it was written for can run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

EXTENSION = Path(__file__).parents[2] / "examples" / "gnome-shell-extension"
UUID = "guestmux@guestmux.org"

MODULES = 45
"""The first version of GNOME Shell whose extensions are modules."""

# In the words of GNOME Shell 43: everything but the import of what both need is the extension's own.
_LEGACY = """
let apps = null;
let wanted = false;
function init() {}
function enable() {
    wanted = true;
    const dir = imports.misc.extensionUtils.getCurrentExtension().dir;
    const load = name => import(dir.get_child(name).get_uri());
    Promise.all([load('apps.js'), load('shell.js')]).then(([{Apps}, {asked}]) => {
        if (!wanted)
            return;
        apps = new Apps(asked(imports.gi.Shell, imports.ui.main));
        apps.start();
    }).catch(error => logError(error));
}
function disable() {
    wanted = false;
    apps?.stop();
    apps = null;
}
"""


def for_gjs(folder: Path) -> Path:
    """Copy it with a stand-in in the place of the shell; gives the module to run."""
    shutil.copytree(EXTENSION, folder, dirs_exist_ok=True)
    shutil.copy(Path(__file__).with_name("standin_shell.js"), folder)
    extension = folder / "extension.js"
    text = extension.read_text()
    for module in (
        "gi://Shell",
        "resource:///org/gnome/shell/extensions/extension.js",
        "resource:///org/gnome/shell/ui/main.js",
    ):
        assert f"'{module}'" in text
        text = text.replace(f"'{module}'", "'./standin_shell.js'")
    extension.write_text(text)
    main = folder / "main.js"
    main.write_text(
        "import {play} from './standin_shell.js';\nimport Guestmux from './extension.js';\nplay(Guestmux);\n"
    )
    return main


def for_gnome_shell(home: Path, version: int) -> None:
    """Install and enable it for a user of that version."""
    folder = home / ".local/share/gnome-shell/extensions" / UUID
    shutil.copytree(EXTENSION, folder)
    if version < MODULES:
        (folder / "extension.js").write_text(_LEGACY)
        metadata = json.loads((folder / "metadata.json").read_text())
        (folder / "metadata.json").write_text(json.dumps({**metadata, "shell-version": [str(version)]}))
    settings = home / ".config/glib-2.0/settings/keyfile"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"[org/gnome/shell]\nenabled-extensions=['{UUID}']\ndisable-user-extensions=false\n"
        "welcome-dialog-last-shown-version='999'\n"
    )

"""Applications' ids in the names of units."""

import pytest

from guestmux_session.desktop.app_units import app_of_unit, scope_for


@pytest.mark.parametrize(
    ("unit", "app_id"),
    [
        ("app-gnome-org.gnome.Evince-12345.scope", "org.gnome.Evince"),
        ("app-firefox-12345.scope", "firefox"),
        (r"app-flatpak-org.telegram.desktop-2701.scope", "org.telegram.desktop"),
        (r"app-gnome-debian\x2dxterm-7.scope", "debian-xterm"),
        ("app-dbus-:1.2-org.gnome.Nautilus@0.service", ""),
        ("app-org.kde.kate@0123abcd.service", "org.kde.kate"),
        ("app-KDE-org.kde.kate@0123abcd.service", "org.kde.kate"),
        (r"app-gnome\x2dkeyring@autostart.service", "gnome-keyring"),
        ("app-org.example.service", "org.example"),
        ("app-guestmux-exec-0123456789abcdef.scope", ""),
        ("snap.firefox.firefox-6c7cd1d8-5ba7-4c34-a3a1-36ae6b0c1f5e.scope", "firefox_firefox"),
        ("snap.chat_2.chat-app.6c7cd1d8-5ba7-4c34-a3a1-36ae6b0c1f5e.scope", "chat_2_chat-app"),
        ("snap.lxd.daemon.service", ""),
        ("app.slice", ""),
        ("session-2.scope", ""),
    ],
)
def test_the_id_in_a_name(unit: str, app_id: str) -> None:
    assert app_of_unit(unit) == app_id


@pytest.mark.parametrize("app_id", ["debian-xterm", "org.example.App", "größer", "a b/c"])
def test_our_own_scopes_are_read_as_they_were_meant(app_id: str) -> None:
    scope = scope_for(app_id, "0123")
    assert app_of_unit(scope) == app_id
    assert scope.isascii()


def test_a_scopes_name_is_bounded() -> None:
    assert len(scope_for("-" * 1000, "0" * 16)) <= 255

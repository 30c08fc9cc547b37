"""The Wayland interfaces that the agent speaks, as far as it speaks them.

Order is the wire's numbering, so that requests which are not used stand in the tables too. Sources: wayland.xml,
xdg-output-unstable-v1.xml (version 3),
wlr-foreign-toplevel-management-unstable-v1.xml (version 3), ext-foreign-toplevel-list-v1.xml (version 1),
wlr-output-management-unstable-v1.xml (version 4).
"""

from __future__ import annotations

from guestmux_session.desktop.wayland_wire import Interface, Message

DISPLAY = Interface(
    "wl_display",
    requests=(Message("sync", "n", "wl_callback"), Message("get_registry", "n", "wl_registry")),
    events=(Message("error", "ous"), Message("delete_id", "u")),
)

REGISTRY = Interface(
    "wl_registry",
    requests=(Message("bind", "usun"),),
    events=(Message("global", "usu"), Message("global_remove", "u")),
)

CALLBACK = Interface("wl_callback", events=(Message("done", "u"),))

SEAT = Interface(
    "wl_seat",
    requests=(
        Message("get_pointer", "n"),
        Message("get_keyboard", "n"),
        Message("get_touch", "n"),
        Message("release", destroys=True),
    ),
    events=(Message("capabilities", "u"), Message("name", "s")),
)

SCREEN = Interface(
    "wl_output",
    requests=(Message("release", destroys=True),),
    events=(
        Message("geometry", "iiiiissi"),
        Message("mode", "uiii"),
        Message("done"),
        Message("scale", "i"),
        Message("name", "s"),
        Message("description", "s"),
    ),
)

XDG_OUTPUTS = Interface(
    "zxdg_output_manager_v1",
    requests=(Message("destroy", destroys=True), Message("get_xdg_output", "no", "zxdg_output_v1")),
)

XDG_OUTPUT = Interface(
    "zxdg_output_v1",
    requests=(Message("destroy", destroys=True),),
    events=(
        Message("logical_position", "ii"),
        Message("logical_size", "ii"),
        Message("done"),
        Message("name", "s"),
        Message("description", "s"),
    ),
)

WLR_TOPLEVELS = Interface(
    "zwlr_foreign_toplevel_manager_v1",
    requests=(Message("stop"),),
    events=(Message("toplevel", "n", "zwlr_foreign_toplevel_handle_v1"), Message("finished")),
)

WLR_TOPLEVEL = Interface(
    "zwlr_foreign_toplevel_handle_v1",
    requests=(
        Message("set_maximized"),
        Message("unset_maximized"),
        Message("set_minimized"),
        Message("unset_minimized"),
        Message("activate", "o"),
        Message("close"),
        Message("set_rectangle", "oiiii"),
        Message("destroy", destroys=True),
        Message("set_fullscreen", "o"),
        Message("unset_fullscreen"),
    ),
    events=(
        Message("title", "s"),
        Message("app_id", "s"),
        Message("output_enter", "o"),
        Message("output_leave", "o"),
        Message("state", "a"),
        Message("done"),
        Message("closed"),
        Message("parent", "o"),
    ),
)

EXT_TOPLEVELS = Interface(
    "ext_foreign_toplevel_list_v1",
    requests=(Message("stop"), Message("destroy", destroys=True)),
    events=(Message("toplevel", "n", "ext_foreign_toplevel_handle_v1"), Message("finished")),
)

EXT_TOPLEVEL = Interface(
    "ext_foreign_toplevel_handle_v1",
    requests=(Message("destroy", destroys=True),),
    events=(
        Message("closed"),
        Message("done"),
        Message("title", "s"),
        Message("app_id", "s"),
        Message("identifier", "s"),
    ),
)


def _data_control(prefix: str) -> tuple[Interface, Interface, Interface, Interface]:
    """ext-data-control-v1.xml (version 1) and wlr-data-control-unstable-v1.xml (version 2) have the same messages."""
    device, source, offer = (f"{prefix}_{name}_v1" for name in ("device", "source", "offer"))
    return (
        Interface(
            f"{prefix}_manager_v1",
            requests=(
                Message("create_data_source", "n", source),
                Message("get_data_device", "no", device),
                Message("destroy", destroys=True),
            ),
        ),
        Interface(
            device,
            requests=(
                Message("set_selection", "o"),
                Message("destroy", destroys=True),
                Message("set_primary_selection", "o"),
            ),
            events=(
                Message("data_offer", "n", offer),
                Message("selection", "o"),
                Message("finished"),
                Message("primary_selection", "o"),
            ),
        ),
        Interface(
            source,
            requests=(Message("offer", "s"), Message("destroy", destroys=True)),
            events=(Message("send", "sh"), Message("cancelled")),
        ),
        Interface(
            offer,
            requests=(Message("receive", "sh"), Message("destroy", destroys=True)),
            events=(Message("offer", "s"),),
        ),
    )


EXT_DATA_CONTROL = _data_control("ext_data_control")
WLR_DATA_CONTROL = _data_control("zwlr_data_control")
"""Manager, device, source and offer."""

WLR_OUTPUTS = Interface(
    "zwlr_output_manager_v1",
    requests=(Message("create_configuration", "nu", "zwlr_output_configuration_v1"), Message("stop")),
    events=(Message("head", "n", "zwlr_output_head_v1"), Message("done", "u"), Message("finished")),
)

WLR_OUTPUT = Interface(
    "zwlr_output_head_v1",
    requests=(Message("release", destroys=True),),
    events=(
        Message("name", "s"),
        Message("description", "s"),
        Message("physical_size", "ii"),
        Message("mode", "n", "zwlr_output_mode_v1"),
        Message("enabled", "i"),
        Message("current_mode", "o"),
        Message("position", "ii"),
        Message("transform", "i"),
        Message("scale", "f"),
        Message("finished"),
        Message("make", "s"),
        Message("model", "s"),
        Message("serial_number", "s"),
        Message("adaptive_sync", "u"),
    ),
)

WLR_OUTPUT_MODE = Interface(
    "zwlr_output_mode_v1",
    requests=(Message("release", destroys=True),),
    events=(Message("size", "ii"), Message("refresh", "i"), Message("preferred"), Message("finished")),
)

WLR_OUTPUT_CONFIGURATION = Interface(
    "zwlr_output_configuration_v1",
    requests=(
        Message("enable_head", "no", "zwlr_output_configuration_head_v1"),
        Message("disable_head", "o"),
        Message("apply"),
        Message("test"),
        Message("destroy", destroys=True),
    ),
    events=(Message("succeeded"), Message("failed"), Message("cancelled")),
)

WLR_OUTPUT_CONFIGURATION_HEAD = Interface(
    "zwlr_output_configuration_head_v1",
    requests=(
        Message("set_mode", "o"),
        Message("set_custom_mode", "iii"),
        Message("set_position", "ii"),
        Message("set_transform", "i"),
        Message("set_scale", "f"),
        Message("set_adaptive_sync", "u"),
    ),
)

EXT_IDLE = (
    Interface(
        "ext_idle_notifier_v1",
        requests=(
            Message("destroy", destroys=True),
            Message("get_idle_notification", "nuo", "ext_idle_notification_v1"),
        ),
    ),
    Interface(
        "ext_idle_notification_v1",
        requests=(Message("destroy", destroys=True),),
        events=(Message("idled"), Message("resumed")),
    ),
)
"""ext-idle-notify-v1.xml (version 1): the notifier, and a notification."""

KDE_IDLE = (
    Interface(
        "org_kde_kwin_idle",
        requests=(Message("get_idle_timeout", "nou", "org_kde_kwin_idle_timeout"),),
    ),
    Interface(
        "org_kde_kwin_idle_timeout",
        requests=(Message("release", destroys=True), Message("simulate_user_activity")),
        events=(Message("idle"), Message("resumed")),
    ),
)
"""idle.xml of plasma-wayland-protocols (version 1), likewise."""

INTERFACES = {
    interface.name: interface
    for interface in (
        *(DISPLAY, REGISTRY, CALLBACK, SEAT, SCREEN, XDG_OUTPUTS, XDG_OUTPUT),
        *(WLR_TOPLEVELS, WLR_TOPLEVEL, EXT_TOPLEVELS, EXT_TOPLEVEL),
        *(*EXT_DATA_CONTROL, *WLR_DATA_CONTROL),
        *(*EXT_IDLE, *KDE_IDLE),
        *(WLR_OUTPUTS, WLR_OUTPUT, WLR_OUTPUT_MODE, WLR_OUTPUT_CONFIGURATION, WLR_OUTPUT_CONFIGURATION_HEAD),
    )
}
"""All of them, by name: what an event creates is looked up here."""

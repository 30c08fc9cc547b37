"""The Wayland interfaces that the agent speaks, as far as it speaks them.

Order is the wire's numbering, so that requests which are not used stand in the tables too. Sources: wayland.xml,
wlr-foreign-toplevel-management-unstable-v1.xml (version 3), ext-foreign-toplevel-list-v1.xml (version 1).
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

INTERFACES = {
    interface.name: interface
    for interface in (
        *(DISPLAY, REGISTRY, CALLBACK, SEAT),
        *(WLR_TOPLEVELS, WLR_TOPLEVEL, EXT_TOPLEVELS, EXT_TOPLEVEL),
        *(*EXT_DATA_CONTROL, *WLR_DATA_CONTROL),
    )
}
"""All of them, by name: what an event creates is looked up here."""

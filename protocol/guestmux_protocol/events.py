"""The events that guestmux itself emits (design § 9), each a typed class."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType, field

from guestmux_protocol.clipboard_commands import Which
from guestmux_protocol.commands import FROZEN, JOURNAL_STATE
from guestmux_protocol.display_commands import DisplayState
from guestmux_protocol.installed_commands import SCOPE, Scope
from guestmux_protocol.notification_commands import MAX_REPLY, Tag
from guestmux_protocol.registry import Data, EventType, doc, event
from guestmux_protocol.sessions import SessionRef

EVENTS: dict[str, EventType] = {}
"""Every event of guestmux's own, by name."""

VERIFIED, CLAIMED = "verified", "claimed"
"""An event's `source`: eventd saw it itself (logind, the kernel), or an agent says so."""


@event(EVENTS, "SESSION_LOGIN")
class SessionLogin(SessionRef, frozen=True, kw_only=True):
    """A session began."""

    type: str
    session_class: str = field(name="class")
    tty: str | UnsetType = UNSET
    desktop: str | UnsetType = UNSET
    service: str | UnsetType = UNSET
    remote: bool = False
    remote_host: str | UnsetType = UNSET
    login_time: Annotated[
        float | UnsetType,
        doc("Seconds since the epoch; long before the event where the session is older than this eventd."),
    ] = UNSET


LogoutReason = Literal["unseen", "reboot"]
"""Why a session's end is told later than it was."""


@event(EVENTS, "SESSION_LOGOUT")
class SessionLogout(SessionRef, frozen=True, kw_only=True):
    """A session ended."""

    reason: Annotated[
        LogoutReason | UnsetType,
        doc(
            "Only where nobody saw it end, and when that was is not known. unseen: eventd, logind or the bus was away."
            " reboot: the guest was started anew."
        ),
    ] = UNSET


@event(EVENTS, "SESSION_ACTIVE")
class SessionActive(Data, frozen=True, kw_only=True):
    """The foreground of a seat changed. Without a session: nobody is in the foreground."""

    seat: str
    session: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    uid: int | UnsetType = UNSET


LOGIND = "logind"
"""Who says it, where logind's LockedHint or IdleHint does."""

CONFIRMED = doc("False: logind was asked to, and no screen locker confirmed it.")

SAID_BY = doc(
    "Who says so: `logind`, whose word is verified, and those whom agents of the session name, as"
    " `org.gnome.ScreenSaver`. Missing where nobody confirmed it."
)

VALUES = doc("What each says, `logind` among them, where they disagree: whether it is locked.")


@event(EVENTS, "SESSION_LOCK")
class SessionLock(SessionRef, frozen=True, kw_only=True):
    """A session's screen was locked, or logind was asked to lock it and nothing confirmed that it is.

    Verified: logind's LockedHint says so. Claimed: only agents of the session do, for a second or longer.
    """

    confirmed: Annotated[bool, CONFIRMED]
    said_by: Annotated[list[str] | UnsetType, SAID_BY] = UNSET
    values: Annotated[dict[str, bool] | UnsetType, VALUES] = UNSET


@event(EVENTS, "SESSION_UNLOCK")
class SessionUnlock(SessionRef, frozen=True, kw_only=True):
    """A session's screen was unlocked, or logind was asked to unlock it and nothing confirmed that it is.

    Verified: logind's LockedHint says so. Claimed: those say so who claimed that it was locked.
    """

    confirmed: Annotated[bool, CONFIRMED]
    said_by: Annotated[list[str] | UnsetType, SAID_BY] = UNSET
    values: Annotated[dict[str, bool] | UnsetType, VALUES] = UNSET


@event(EVENTS, "SESSION_IDLE")
class SessionIdle(SessionRef, frozen=True, kw_only=True):
    """Nobody has used a session's keyboard or pointer for some time, or somebody does again.

    Verified: logind's IdleHint says so. Claimed: an agent of the session does, where the desktop does not tell logind.
    """

    idle: bool
    said_by: Annotated[list[str] | UnsetType, SAID_BY] = UNSET


@event(EVENTS, "AGENT_REGISTERED")
class AgentRegistered(Data, frozen=True, kw_only=True):
    """An agent registered; its commands can be called."""

    session: Annotated[str, doc("logind's id, or `system`.")]
    agent: str
    version: str
    user: str
    uid: int
    commands: Annotated[
        list[str],
        doc(
            "Those that can be called now. An agent that serves streams is told of once more as soon as it has the"
            " channel for them, with these commands as well."
        ),
    ]


@event(EVENTS, "AGENT_GONE")
class AgentGone(Data, frozen=True, kw_only=True):
    """An agent left: it unregistered, crashed, lost the bus, or its session ended."""

    session: str
    agent: str
    reason: Annotated[
        str,
        doc(
            "unregistered, disconnected, channel-lost, session-ended, bus-lost or eventd-ended: said at its end, or at"
            " its next start where it was killed."
        ),
    ]


@event(EVENTS, "POWER_SHUTDOWN")
class PowerShutdown(Data, frozen=True, kw_only=True):
    """The guest is about to power off or reboot; it waits until this is on the wire."""


@event(EVENTS, "POWER_SLEEP")
class PowerSleep(Data, frozen=True, kw_only=True):
    """The guest is about to suspend or hibernate; it waits until this is on the wire."""


@event(EVENTS, "POWER_RESUME")
class PowerResume(Data, frozen=True, kw_only=True):
    """The guest came back from suspend or hibernation."""


@event(EVENTS, "GUEST_READY")
class GuestReady(Data, frozen=True, kw_only=True, omit_defaults=False):
    """The boot is finished: systemd has nothing left to start. Each part is in seconds; 0 where there was none."""

    total: Annotated[float, doc("The whole boot, as `systemd-analyze time` has it.")]
    firmware: float
    loader: float
    kernel: float
    initrd: float
    userspace: float


@event(EVENTS, "UNIT_FAILED")
class UnitFailed(Data, frozen=True, kw_only=True):
    """A unit of systemd's failed. Only where `unit-failures` is set in eventd.toml."""

    unit: str
    sub_state: Annotated[str, doc("As systemd has it: `failed`, or what a kind of unit calls it.")]


@event(EVENTS, "DISK_PRESSURE")
class DiskPressure(Data, frozen=True, kw_only=True, omit_defaults=False):
    """A file system is nearly full, or is no longer. Only of the paths in `disk-pressure` in eventd.toml.

    It begins anew with each start of eventd: what is not told in the new epoch has ended.
    """

    path: Annotated[str, doc("As it is configured.")]
    active: Annotated[bool, doc("True: it begins. False: it has ended.")]
    total: Annotated[int, doc("Bytes of the file system.")]
    available: Annotated[int, doc("Bytes that are left for anybody but root.")]
    percent: Annotated[int, doc("How much is used, as df(1) has it.")]


@event(EVENTS, "TIME_CHANGED")
class TimeChanged(Data, frozen=True, kw_only=True):
    """The guest's wall clock was set, or jumped while the machine was stopped; events before it have the old time."""

    offset: Annotated[float, doc("Seconds by which it jumped; negative: back.")]


class NetworkAddress(Data, frozen=True, kw_only=True):
    """An address of an interface, as guest-network-get-interfaces has it."""

    ip_address: str
    ip_address_type: Literal["ipv4", "ipv6"]
    prefix: Annotated[int, doc("Bits of the network's part.")]


class NetworkInterface(Data, frozen=True, kw_only=True):
    """A network interface."""

    name: str
    up: Annotated[bool, doc("It is switched on and has a carrier.")]
    hardware_address: Annotated[str | UnsetType, doc("As `52:54:00:12:34:56`.")] = UNSET
    ip_addresses: list[NetworkAddress] = []


@event(EVENTS, "NETWORK_CHANGED", keep="last")
class NetworkChanged(Data, frozen=True, kw_only=True, omit_defaults=False):
    """An interface or an address came, went, or changed. It tells of all of them, as they are now."""

    interfaces: list[NetworkInterface]
    truncated: Annotated[
        bool, doc("There are more than an event holds; guest-network-get-interfaces has all.")
    ] = False


class PackageInfo(Data, frozen=True, kw_only=True):
    """A package."""

    name: Annotated[str, doc("An agent tells the desktop file's id.")]
    architecture: Annotated[str, doc("Agents do not tell it: empty.")]
    version: Annotated[str, doc("Empty where nobody says.")]


class PackageUpgrade(Data, frozen=True, kw_only=True):
    """A package of which another version took the place."""

    name: str
    architecture: str
    before: Annotated[str, doc("The version that went.")] = field(name="from")
    after: Annotated[str, doc("The version that came, maybe an older one.")] = field(name="to")


@event(EVENTS, "PACKAGES_CHANGED", keep="last")
class PackagesChanged(Data, frozen=True, kw_only=True, omit_defaults=False):
    """What was installed, removed or upgraded, once the package manager has come to rest.

    Of dpkg and rpm eventd tells (`verified`), of the rest the sessions' agents, each of what its user has.
    """

    manager: Annotated[
        Literal["dpkg", "rpm", "flatpak", "snap", "desktop-files"],
        doc("`desktop-files`: applications in the user's own folder, whoever put them there."),
    ]
    scope: Annotated[Scope, SCOPE] = "system"
    installed: list[PackageInfo]
    removed: list[PackageInfo]
    upgraded: list[PackageUpgrade]
    truncated: Annotated[bool, doc("There was more than an event holds.")] = False


class App(Data, frozen=True, kw_only=True):
    """A running application, as far as the session shows it."""

    app_id: Annotated[
        str, doc("The desktop file's id; what the windows call themselves where they have no such file.")
    ]
    name: Annotated[str, doc("As the desktop file has it, in no language; the id where there is none.")]
    pid: Annotated[int | UnsetType, doc("Its process, in the guest; Wayland does not tell.")] = UNSET


TITLE = doc("Its window's title, where the guest's configuration lets titles out.")


@event(EVENTS, "APP_STARTED", keep="bounded")
class AppStarted(App, frozen=True, kw_only=True):
    """An application opened its first window, or began to run. It comes from the session's agent."""

    title: Annotated[str | UnsetType, TITLE] = UNSET


@event(EVENTS, "APP_EXITED", keep="bounded")
class AppExited(App, frozen=True, kw_only=True):
    """An application closed its last window, or ended. It comes from the session's agent."""


@event(EVENTS, "APP_FOCUSED", keep="last")
class AppFocused(Data, frozen=True, kw_only=True):
    """Another application has the keyboard's focus; without members: none has. It comes from the session's agent."""

    app_id: Annotated[str | UnsetType, doc("As in APP_STARTED.")] = UNSET
    name: str | UnsetType = UNSET
    pid: int | UnsetType = UNSET
    title: Annotated[str | UnsetType, TITLE] = UNSET


@event(EVENTS, "CLIPBOARD_CHANGED", keep="bounded")
class ClipboardChanged(Data, frozen=True, kw_only=True):
    """The clipboard, or what the user has marked, has another content, or none. It comes from the session's agent."""

    selection: Which
    formats: Annotated[
        list[str] | UnsetType,
        doc("MIME types; empty: it was emptied. Missing where the program that has it does not tell."),
    ] = UNSET
    sizes: Annotated[
        dict[str, int] | UnsetType,
        doc(
            "Bytes by format, where they are known: of what was set through the agent; of other programs' text,"
            " HTML and PNG where session-agent.toml has it so."
        ),
    ] = UNSET
    truncated: Annotated[bool, doc("There are more formats than are told.")] = False


@event(EVENTS, "NOTIFICATION_ACTION", keep="bounded")
class NotificationAction(Data, frozen=True, kw_only=True):
    """The user chose an action of a host's notification, or replied. Not where a call waits for it."""

    id: Annotated[int, doc("From session-notify.")]
    tag: Tag = ""
    action: Annotated[str | UnsetType, doc("The action's key.")] = UNSET
    reply: Annotated[
        str | UnsetType, doc(f"What the user replied, at most {MAX_REPLY} characters of it.")
    ] = UNSET


@event(EVENTS, "NOTIFICATION_CLOSED", keep="bounded")
class NotificationClosed(Data, frozen=True, kw_only=True):
    """A host's notification is gone, and can be replaced or closed no more. Not where a call waits for it."""

    id: Annotated[int, doc("From session-notify. A notification server that starts anew may give it again.")]
    tag: Tag = ""
    reason: Annotated[
        Literal["dismissed", "expired", "closed", "server-gone"],
        doc(
            "`closed`: by a host, by the agent, or nobody knows why. `server-gone`: with the notification server."
        ),
    ]


@event(EVENTS, "DISPLAY_CHANGED", keep="last")
class DisplayChanged(Data, frozen=True, kw_only=True, omit_defaults=False):
    """A display came, went, or is set otherwise. It tells of all of them, as they are now. From the session's agent."""

    displays: Annotated[list[DisplayState], doc("Those that are connected or enabled.")]
    truncated: Annotated[bool, doc("There are more than an event holds.")] = False


@event(EVENTS, "EVENTS_LOST", keep="none")
class EventsLost(Data, frozen=True, kw_only=True):
    """Events with these numbers will not come: they are gone from the journal. It has no number of its own."""

    first: Annotated[
        int, doc("The first number that is missing; 0 where events of another epoch may be missing too.")
    ] = field(name="from")
    last: Annotated[int, doc("The last number that is missing.")] = field(name="to")
    reason: Annotated[
        str,
        doc(
            "slow-reader: the host fell behind what is kept. restart: eventd began anew, and these were not on disk."
            " crash: eventd was killed before they were stored. overload, not-stored: there were too many for the disk,"
            " or it took none. expired: the journal's bounds took them. rolled-back: the host has seen more than this"
            " guest knows of, its disk or memory was set back. new-epoch: the host's position is of another journal."
        ),
    ]
    names: Annotated[
        list[str] | UnsetType,
        doc("Only events that these globs of the host's match are among the lost; any where not given."),
    ] = UNSET


@event(EVENTS, "BEACON", keep="none")
class Beacon(Data, frozen=True, kw_only=True, omit_defaults=False):
    """How the stream stands; everything before it was sent. For who asked for beacons. It has no number of its own."""

    agents: Annotated[int, doc("Registered agents.")]
    dropped: Annotated[int, doc("Numbers that EVENTS_LOST named in this subscription.")]
    journal: Annotated[str, doc(JOURNAL_STATE)]
    frozen: Annotated[bool, doc(FROZEN)]


EVERY_ONE = frozenset(name for name, kind in EVENTS.items() if kind.keep == "every")
"""The events that are kept until each host has them, on disk."""

STREAM_EVENTS = frozenset(name for name, kind in EVENTS.items() if kind.keep == "none")
"""The events that are about the stream itself, and have no number."""

_NAMES_OF_AGENTS = (
    *("APP_STARTED", "APP_EXITED", "APP_FOCUSED", "CLIPBOARD_CHANGED"),
    *("DISPLAY_CHANGED", "NOTIFICATION_ACTION", "NOTIFICATION_CLOSED", "PACKAGES_CHANGED"),
)

OF_AGENTS = {name: EVENTS[name] for name in _NAMES_OF_AGENTS}
"""Those that agents emit, each of what it sees of its session; an agent declares which."""

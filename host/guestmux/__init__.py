"""guestmux, host side: call into a guest's sessions and hear its events.

>>> async with guestmux.connect("unix:/run/vm1/guestmux.sock") as guest:
...     await guest.lock(session="user:alice")
...     async for event in guest.events("SESSION_*"):
...         print(event)
"""

from guestmux import blocking
from guestmux.copying import (
    ChecksumMismatch,
    CopyFailed,
    CopyFailure,
    CopyIncomplete,
    CopyReport,
    CopyWatcher,
    LocalFileError,
)
from guestmux.cursor_file import CursorError
from guestmux.errors import (
    CallTimeout,
    CommandDisabled,
    CommandFailed,
    CommandNotFound,
    ConnectError,
    ConnectionLost,
    GuestmuxError,
    GuestTooOld,
    NoAddress,
    NoStreams,
    NotConnected,
    RemoteError,
    StreamFailed,
    UnexpectedReply,
)
from guestmux.event import Beacon, Disconnected, Event, Gap, Item, Reconnected
from guestmux.file import GuestFile
from guestmux.forwarding import Forwarding
from guestmux.guest import Guest, connect
from guestmux.guest_stream import GuestStream
from guestmux.process import Completed, ExitStatus, Process, TerminalSize
from guestmux.schema import GuestSchema
from guestmux.selection import SelectionError
from guestmux.stream import EventStream
from guestmux_protocol.addresses import AddressError
from guestmux_protocol.agent_bundle import BundleError
from guestmux_protocol.agent_commands import AgentInstalled, InstalledAgent
from guestmux_protocol.clipboard_commands import ClipboardFormats
from guestmux_protocol.commands import GuestAgentInfo, GuestUser, Position, Snapshot
from guestmux_protocol.display_commands import Display, DisplayMode, Displays, DisplaySetting, DisplaysSet
from guestmux_protocol.guest.facts import GuestLoadAverage, GuestOSInfo, GuestTimezone
from guestmux_protocol.guest.freeze import GuestFilesystemTrimResult
from guestmux_protocol.guest.network import GuestNetworkInterface
from guestmux_protocol.guest.storage import GuestFilesystemInfo
from guestmux_protocol.idle_commands import IdleState
from guestmux_protocol.inhibit_commands import Inhibited, Inhibitor
from guestmux_protocol.installed_commands import InstalledApp, InstalledApps
from guestmux_protocol.notification_commands import NotifyAction, NotifyReply, NotifyResult
from guestmux_protocol.patterns import PatternError
from guestmux_protocol.session_commands import Launched, LockState, RunningApp, RunningApps, SessionInfo
from guestmux_protocol.sessions import AgentInfo, Session
from guestmux_protocol.uri_commands import OpenedUri
from guestmux_protocol.version import VERSION

__version__ = VERSION

__all__ = [
    "AddressError",
    "AgentInfo",
    "AgentInstalled",
    "Beacon",
    "BundleError",
    "CallTimeout",
    "ChecksumMismatch",
    "ClipboardFormats",
    "CommandDisabled",
    "CommandFailed",
    "CommandNotFound",
    "Completed",
    "ConnectError",
    "ConnectionLost",
    "CopyFailed",
    "CopyFailure",
    "CopyIncomplete",
    "CopyReport",
    "CopyWatcher",
    "CursorError",
    "Disconnected",
    "Display",
    "DisplayMode",
    "DisplaySetting",
    "Displays",
    "DisplaysSet",
    "Event",
    "EventStream",
    "ExitStatus",
    "Forwarding",
    "Gap",
    "Guest",
    "GuestAgentInfo",
    "GuestFile",
    "GuestFilesystemInfo",
    "GuestFilesystemTrimResult",
    "GuestLoadAverage",
    "GuestNetworkInterface",
    "GuestOSInfo",
    "GuestSchema",
    "GuestStream",
    "GuestTimezone",
    "GuestTooOld",
    "GuestUser",
    "GuestmuxError",
    "IdleState",
    "Inhibited",
    "Inhibitor",
    "InstalledAgent",
    "InstalledApp",
    "InstalledApps",
    "Item",
    "Launched",
    "LocalFileError",
    "LockState",
    "NoAddress",
    "NoStreams",
    "NotConnected",
    "NotifyAction",
    "NotifyReply",
    "NotifyResult",
    "OpenedUri",
    "PatternError",
    "Position",
    "Process",
    "Reconnected",
    "RemoteError",
    "RunningApp",
    "RunningApps",
    "SelectionError",
    "Session",
    "SessionInfo",
    "Snapshot",
    "StreamFailed",
    "TerminalSize",
    "UnexpectedReply",
    "__version__",
    "blocking",
    "connect",
]

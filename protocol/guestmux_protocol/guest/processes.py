"""guest-exec and guest-exec-status as qemu-ga has them, and our own commands for a process that is watched live."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc

MAX_LINGER = 30.0
"""Seconds that a read may wait: less than any host waits for an answer."""

MAX_LIVE_READ = 1024 * 1024
"""Bytes of one read of a live process, of each stream."""

DEFAULT_LIVE_READ = 64 * 1024
"""Bytes of a read that names no number: what a pipe holds."""

MAX_SIDE = 65535
"""Rows or columns of a terminal: an unsigned short in the kernel."""

Pid = Annotated[int, doc("From guest-exec or guest-exec-live.")]
Environment = Annotated[
    list[str] | UnsetType,
    doc("`NAME=value`. In a session it adds to the session's environment; elsewhere it is all there is."),
]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


class Terminal(Arguments, frozen=True):
    """A terminal for a process."""

    rows: Side
    columns: Side
    type: Annotated[str, doc("TERM.")] = "xterm-256color"


class GuestExec(Data, frozen=True):
    """The process that was started."""

    pid: int


class GuestExecStatus(Data, frozen=True):
    """How a process stands."""

    exited: Annotated[bool, doc("It ended, and so did everybody who had its output open.")]
    exitcode: Annotated[int | UnsetType, doc("Where it ended by itself.")] = UNSET
    signal: Annotated[int | UnsetType, doc("Where a signal ended it.")] = UNSET
    out_data: Annotated[str | UnsetType, doc("stdout, as base64, once it ended.")] = UNSET
    err_data: Annotated[str | UnsetType, doc("stderr, as base64, once it ended.")] = UNSET
    out_truncated: Annotated[bool | UnsetType, doc("stdout was longer than is kept.")] = UNSET
    err_truncated: Annotated[bool | UnsetType, doc("stderr was longer than is kept.")] = UNSET


class GuestExecOutput(Data, frozen=True):
    """What a live process wrote since the last read."""

    out_data: Annotated[str, doc("stdout, or the terminal's output, as base64.")]
    err_data: Annotated[str, doc("stderr, as base64.")]
    out_eof: Annotated[bool, doc("Nothing follows on stdout.")]
    err_eof: Annotated[bool, doc("Nothing follows on stderr.")]
    exited: Annotated[bool, doc("It ended; what others of its making still write may follow.")]
    exitcode: Annotated[int | UnsetType, doc("Where it ended by itself.")] = UNSET
    signal: Annotated[int | UnsetType, doc("Where a signal ended it.")] = UNSET


class GuestExecEnd(Data, frozen=True):
    """How a process ended: the result of its guest-exec-attach."""

    exitcode: Annotated[int | UnsetType, doc("Where it ended by itself.")] = UNSET
    signal: Annotated[int | UnsetType, doc("Where a signal ended it.")] = UNSET


class GuestExecWritten(Data, frozen=True):
    """How much input a live process took."""

    count: Annotated[int, doc("Bytes, before base64; send the others again.")]


@command(GUEST, "guest-exec", returns=GuestExec)
class GuestExecCommand(Arguments, frozen=True):
    """Start a process; guest-exec-status tells how it ended and what it wrote."""

    path: Annotated[
        str, doc("A path, or a name that is looked for in PATH: that of `env` where that has one.")
    ]
    arg: Annotated[list[str], doc("Its arguments.")] = []
    env: Environment = UNSET
    input_data: Annotated[str | UnsetType, doc("Its stdin, as base64; empty where not given.")] = UNSET
    capture_output: Annotated[
        bool | Literal["none", "stdout", "stderr", "separated", "merged"],
        doc("What to keep of its output, 16 MiB of each stream; `true` stands for `separated`."),
    ] = False


@command(GUEST, "guest-exec-status", returns=GuestExecStatus)
class GuestExecStatusCommand(Arguments, frozen=True):
    """Tell how a process stands. Once it has ended the pid is forgotten."""

    pid: Pid


@command(GUEST, "guest-exec-live", returns=GuestExec)
class GuestExecLive(Arguments, frozen=True):
    """Start a process whose output is read while it runs, with pipes or on a terminal of its own."""

    path: Annotated[str, doc("A path, or a name that is looked for in PATH.")]
    arg: Annotated[list[str], doc("Its arguments.")] = []
    env: Environment = UNSET
    directory: Annotated[str | UnsetType, doc("Where it starts; in a session the user's home.")] = UNSET
    terminal: Annotated[Terminal | UnsetType, doc("Give it a terminal instead of pipes.")] = UNSET


@command(GUEST, "guest-exec-read", returns=GuestExecOutput)
class GuestExecRead(Arguments, frozen=True):
    """Read what a live process wrote. What is not read makes it wait: only a part of it is held here."""

    pid: Pid
    max_bytes: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_LIVE_READ)], doc("Bytes of each stream at most.")
    ] = DEFAULT_LIVE_READ
    linger: Annotated[
        Annotated[float, Meta(ge=0, le=MAX_LINGER)], doc("Seconds to wait for something to tell.")
    ] = 0.0


@command(GUEST, "guest-exec-write", returns=GuestExecWritten)
class GuestExecWrite(Arguments, frozen=True):
    """Write to a live process: what it has room for, and waits a while where it has none."""

    pid: Pid
    buf_b64: Annotated[str, doc("Base64.")]
    eof: Annotated[bool, doc("Nothing follows; counts only where all was taken.")] = False


@command(GUEST, "guest-exec-attach", returns=Data, stream=True)
class GuestExecAttach(Arguments, frozen=True):
    """Take the output of a process of guest-exec-live, and give it its input, as a stream.

    `stdio` sends stdout, or all that a terminal shows, and receives stdin; the host's end of the stream ends the input
    as `eof` of guest-exec-write does. When the process ended, and its output with it or 0.1 s after its last byte, the
    stream's result is `exitcode` or `signal`. `stderr` only sends, and ends with stderr. Each is one stream's at a
    time; guest-exec-read and -write are refused meanwhile. What the host gives no credit for makes the process wait.
    A stream that is given up leaves the process as it is; guest-exec-close hangs up.
    """

    pid: Pid
    channel: Literal["stdio", "stderr"] = "stdio"


@command(GUEST, "guest-exec-signal", returns=Data)
class GuestExecSignal(Arguments, frozen=True):
    """Send a signal to a process and to those of its group."""

    pid: Pid
    signal: Annotated[int | str, doc("A number, or a name as `TERM` or `SIGTERM`.")]


@command(GUEST, "guest-exec-resize", returns=Data)
class GuestExecResize(Arguments, frozen=True):
    """Give the terminal of a live process another size."""

    pid: Pid
    rows: Side
    columns: Side


@command(GUEST, "guest-exec-close", returns=Data)
class GuestExecClose(Arguments, frozen=True):
    """Forget a process: hang up the terminal or close the pipes of a live one; let another run on, unheard."""

    pid: Pid

"""Texts that name a byte pipe, as `unix-listen:/run/guestmux.sock`, and their parsed forms.

Nothing is opened here. A guest port is waited at (`PortAddress`), a host dials (`DialAddress`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from guestmux_protocol.errors import GuestmuxError

UNIX_PATH_BYTES: Final = 107
"""Longest socket path: `sun_path` of `sockaddr_un` has 108 bytes, one of them the closing NUL (unix(7))."""

DEFAULT_SOCKET_MODE: Final = 0o600
"""Whoever connects to a port is the host, so nobody but the owner may, unless told otherwise."""

VIRTIO_NAME_BYTES: Final = 255
"""A virtio port's name becomes a file name under /dev/virtio-ports, and NAME_MAX is 255."""

MAX_VSOCK: Final = 0xFFFFFFFF
"""Context ids and ports are unsigned 32 bit numbers; this one is any of them (VMADDR_CID_ANY in vsock(7))."""

VSOCK_HOST: Final = 2
"""The context id of the machine that runs this one (VMADDR_CID_HOST)."""

VSOCK_PEERS: Final = (VSOCK_HOST,)
"""Who is let in at a vsock port. Not VMADDR_CID_LOCAL, 1: with the vsock_loopback module that is every local user."""

MOST_VSOCK_PEERS: Final = 16
"""Peers that one address may name; beyond the host there is hardly a reason for one more."""

_MODE_OPTION = ",mode="
_CID_OPTION = ",cid="
_PORT_FORMS = (
    "unix-listen:PATH[,mode=0600], unix-connect:PATH, device:PATH, virtio:NAME,"
    " vsock-listen:[CID:]PORT[,cid=2], fd:N"
)
_DIAL_FORMS = "unix:PATH, device:PATH, vsock:CID:PORT"


class AddressError(GuestmuxError):
    """The text is no address; the message names the forms that are accepted."""


@dataclass(frozen=True, slots=True)
class UnixListen:
    """A unix socket bound here, at which one host at a time is served.

    Attributes:
        path: where the socket file is made.
        mode: its permission bits.
    """

    path: str
    mode: int = DEFAULT_SOCKET_MODE

    def __str__(self) -> str:
        option = "" if self.mode == DEFAULT_SOCKET_MODE else f"{_MODE_OPTION}{self.mode:04o}"
        return f"unix-listen:{self.path}{option}"


@dataclass(frozen=True, slots=True)
class UnixConnect:
    """A unix socket that the host listens at."""

    path: str

    def __str__(self) -> str:
        return f"unix-connect:{self.path}"


@dataclass(frozen=True, slots=True)
class Device:
    """Any character device: a pty, a serial line, a virtio port by its node."""

    path: str

    def __str__(self) -> str:
        return f"device:{self.path}"


@dataclass(frozen=True, slots=True)
class Virtio:
    """A virtio-serial port by the name that the host gave it, as `org.qemu.guest_agent.0`."""

    name: str

    def __str__(self) -> str:
        return f"virtio:{self.name}"


@dataclass(frozen=True, slots=True)
class VsockListen:
    """A vsock port at which one host at a time is served.

    Attributes:
        cid: our own context id; MAX_VSOCK for any.
        port: the port's number.
        peers: the context ids that are let in.
    """

    cid: int
    port: int
    peers: tuple[int, ...] = VSOCK_PEERS

    def __str__(self) -> str:
        ours = "" if self.cid == MAX_VSOCK else f"{self.cid}:"
        named = () if self.peers == VSOCK_PEERS else self.peers
        return f"vsock-listen:{ours}{self.port}{''.join(f'{_CID_OPTION}{cid}' for cid in named)}"


@dataclass(frozen=True, slots=True)
class InheritedFd:
    """A descriptor that was open when the process started; systemd's socket activation begins at 3."""

    number: int

    def __str__(self) -> str:
        return f"fd:{self.number}"


@dataclass(frozen=True, slots=True)
class Unix:
    """A unix socket that a host dials: QEMU's chardev, or eventd's `unix-listen`."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Vsock:
    """A guest's vsock port that a host dials.

    Attributes:
        cid: the guest's context id.
        port: the port's number.
    """

    cid: int
    port: int

    def __str__(self) -> str:
        return f"vsock:{self.cid}:{self.port}"


PortAddress: TypeAlias = UnixListen | UnixConnect | Device | Virtio | VsockListen | InheritedFd
DialAddress: TypeAlias = Unix | Device | Vsock


def parse_port_address(text: str) -> PortAddress:
    """Parse where eventd waits for its host.

    Raises:
        AddressError: `text` has none of the accepted forms, or its path or name cannot exist.
    """
    kind, _, rest = text.partition(":")
    match kind:
        case "unix-listen":
            return _unix_listen(text, rest)
        case "unix-connect":
            return UnixConnect(_socket_path(text, rest))
        case "device":
            return Device(_path(text, rest))
        case "virtio":
            return Virtio(_virtio_name(text, rest))
        case "vsock-listen":
            return _vsock_listen(text, rest)
        case "fd":
            return InheritedFd(_descriptor(text, rest))
    raise AddressError(f"'{text}' is no port address; accepted are {_PORT_FORMS}")


def parse_dial_address(text: str) -> DialAddress:
    """Parse where a host finds its guest.

    Raises:
        AddressError: `text` has none of the accepted forms, or its path cannot exist.
    """
    kind, _, rest = text.partition(":")
    match kind:
        case "unix":
            return Unix(_socket_path(text, rest))
        case "device":
            return Device(_path(text, rest))
        case "vsock":
            return _vsock(text, rest)
    raise AddressError(f"'{text}' is no address of a guest; accepted are {_DIAL_FORMS}")


def _unix_listen(text: str, rest: str) -> UnixListen:
    path, option, digits = rest.rpartition(_MODE_OPTION)
    if not option:
        return UnixListen(_socket_path(text, rest))
    return UnixListen(_socket_path(text, path), _mode(text, digits))


def _mode(text: str, digits: str) -> int:
    if 0 < len(digits) <= 4 and set(digits) <= set("01234567") and int(digits, 8) <= 0o777:
        return int(digits, 8)
    raise AddressError(f"'{text}': the mode must be octal permission bits, as 0660")


def _path(text: str, path: str) -> str:
    if not path:
        raise AddressError(f"'{text}': a path must follow the colon")
    if "\0" in path:
        raise AddressError(f"{text!r}: a path cannot have a NUL in it")
    return path


def _socket_path(text: str, path: str) -> str:
    if len(_path(text, path).encode("utf-8", "surrogateescape")) > UNIX_PATH_BYTES:
        raise AddressError(f"'{text}': the path of a unix socket has at most {UNIX_PATH_BYTES} bytes")
    return path


def _virtio_name(text: str, name: str) -> str:
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise AddressError(f"'{text}': the name of a virtio port must follow, as org.guestmux.0")
    if len(name.encode("utf-8", "surrogateescape")) > VIRTIO_NAME_BYTES:
        raise AddressError(f"'{text}': the name of a virtio port has at most {VIRTIO_NAME_BYTES} bytes")
    return name


def _vsock_listen(text: str, rest: str) -> VsockListen:
    place, *peers = rest.split(_CID_OPTION)
    cid, colon, port = place.rpartition(":")
    if not _is_vsock(port) or (colon and not _is_vsock(cid)):
        raise AddressError(f"'{text}': the number of a port must follow, as vsock-listen:1234")
    if not all(map(_is_vsock, peers)) or len(peers) > MOST_VSOCK_PEERS:
        raise AddressError(f"'{text}': who is let in is named by context ids, as vsock-listen:1234,cid=2")
    admitted = tuple(map(int, peers)) or VSOCK_PEERS
    return VsockListen(int(cid) if colon else MAX_VSOCK, int(port), admitted)


def _vsock(text: str, rest: str) -> Vsock:
    cid, _, port = rest.partition(":")
    if _is_vsock(cid) and _is_vsock(port):
        return Vsock(int(cid), int(port))
    raise AddressError(f"'{text}': the guest's context id and a port must follow, as vsock:3:1234")


def _is_vsock(digits: str) -> bool:
    return _is_number(digits, 10) and int(digits) <= MAX_VSOCK


def _is_number(digits: str, longest: int) -> bool:
    # isdecimal() alone takes other scripts' digits.
    return digits.isascii() and digits.isdecimal() and len(digits) <= longest


def _descriptor(text: str, digits: str) -> int:
    # More than nine digits is beyond any C int.
    if _is_number(digits, 9):
        return int(digits)
    raise AddressError(f"'{text}': the number of an open descriptor must follow, as fd:3")

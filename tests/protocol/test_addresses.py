import pytest

from guestmux_protocol.addresses import (
    MAX_VSOCK,
    MOST_VSOCK_PEERS,
    UNIX_PATH_BYTES,
    VIRTIO_NAME_BYTES,
    VSOCK_HOST,
    AddressError,
    Device,
    DialAddress,
    InheritedFd,
    PortAddress,
    Unix,
    UnixConnect,
    UnixListen,
    Virtio,
    Vsock,
    VsockListen,
    parse_dial_address,
    parse_port_address,
)

LONGEST_PATH = "/" + "p" * (UNIX_PATH_BYTES - 1)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix-listen:/run/guestmux.sock", UnixListen("/run/guestmux.sock", 0o600)),
        ("unix-listen:relative", UnixListen("relative")),
        ("unix-listen:/run/a,b:c", UnixListen("/run/a,b:c")),
        ("unix-listen:/run/x,mode=0660", UnixListen("/run/x", 0o660)),
        (f"unix-listen:{LONGEST_PATH}", UnixListen(LONGEST_PATH)),
        ("unix-connect:/run/x", UnixConnect("/run/x")),
        ("device:/dev/ttyS0", Device("/dev/ttyS0")),
        (f"device:{LONGEST_PATH}longer", Device(f"{LONGEST_PATH}longer")),
        ("virtio:org.qemu.guest_agent.0", Virtio("org.qemu.guest_agent.0")),
        ("vsock-listen:3:1234", VsockListen(3, 1234)),
        ("vsock-listen:1234", VsockListen(MAX_VSOCK, 1234, (VSOCK_HOST,))),
        ("vsock-listen:1234,cid=1,cid=2", VsockListen(MAX_VSOCK, 1234, (1, 2))),
        ("vsock-listen:3:4294967295,cid=4294967295", VsockListen(3, 0xFFFFFFFF, (0xFFFFFFFF,))),
        ("fd:3", InheritedFd(3)),
        ("fd:0", InheritedFd(0)),
    ],
)
def test_a_port_address_is_parsed_and_written_back(text: str, address: PortAddress) -> None:
    assert parse_port_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/x", Unix("/run/x")),
        ("device:/dev/pts/4", Device("/dev/pts/4")),
        ("vsock:3:1234", Vsock(3, 1234)),
        ("vsock:4294967295:4294967295", Vsock(MAX_VSOCK, MAX_VSOCK)),
    ],
)
def test_a_dial_address_is_parsed_and_written_back(text: str, address: DialAddress) -> None:
    assert parse_dial_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("unix-listen:/x,mode=600", "unix-listen:/x"),
        ("vsock-listen:4294967295:7,cid=2", "vsock-listen:7"),
    ],
)
def test_defaults_may_be_written_out(text: str, written: str) -> None:
    assert str(parse_port_address(text)) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "accepted are unix-listen:PATH"),
        ("/run/x", "accepted are unix-listen:PATH"),
        ("unix:/run/x", "accepted are unix-listen:PATH"),
        ("UNIX-LISTEN:/run/x", "accepted are unix-listen:PATH"),
        ("unix-listen:", "a path must follow"),
        ("unix-listen", "a path must follow"),
        ("unix-listen:,mode=0600", "a path must follow"),
        ("unix-listen:/x,mode=", "octal"),
        ("unix-listen:/x,mode=0888", "octal"),
        ("unix-listen:/x,mode=1777", "octal"),
        ("unix-listen:/x,mode=00600", "octal"),
        ("unix-listen:/x,mode=rw", "octal"),
        (f"unix-listen:{LONGEST_PATH}x", "107 bytes"),
        (f"unix-connect:{LONGEST_PATH[:-1]}é", "107 bytes"),
        ("unix-connect:/x\0y", "NUL"),
        ("device:", "a path must follow"),
        ("virtio:", "name of a virtio port must follow"),
        ("virtio:..", "name of a virtio port must follow"),
        ("virtio:a/b", "name of a virtio port must follow"),
        ("virtio:a\0", "name of a virtio port must follow"),
        ("virtio:" + "n" * (VIRTIO_NAME_BYTES + 1), "at most 255 bytes"),
        ("vsock-listen:", "as vsock-listen:1234"),
        ("vsock-listen::1", "as vsock-listen:1234"),
        ("vsock-listen:3:", "as vsock-listen:1234"),
        ("vsock-listen:3:x", "as vsock-listen:1234"),
        ("vsock-listen:3:4294967296", "as vsock-listen:1234"),
        ("vsock-listen:-1:1", "as vsock-listen:1234"),
        ("vsock-listen:1:2:3", "as vsock-listen:1234"),
        ("vsock-listen:1,cid=", "by context ids, as vsock-listen:1234,cid=2"),
        ("vsock-listen:1,cid=host", "by context ids"),
        ("vsock-listen:1,cid=2,3", "by context ids"),
        ("vsock-listen:1" + ",cid=2" * (MOST_VSOCK_PEERS + 1), "by context ids"),
        ("fd:", "as fd:3"),
        ("fd:-1", "as fd:3"),
        ("fd:٣", "as fd:3"),
        ("fd:9999999999", "as fd:3"),
    ],
)
def test_what_is_no_port_address_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        parse_port_address(text)


@pytest.mark.parametrize("text", ["", "unix-listen:/x", "fd:3", "virtio:x"])
def test_what_is_no_dial_address_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(AddressError, match="accepted are unix:PATH, device:PATH, vsock:CID:PORT"):
        parse_dial_address(text)


@pytest.mark.parametrize("text", ["unix:", "device:", "unix:a\0b"])
def test_a_dial_address_needs_a_path(text: str) -> None:
    with pytest.raises(AddressError, match="path"):
        parse_dial_address(text)


@pytest.mark.parametrize(
    "text", ["vsock:", "vsock:3", "vsock::1234", "vsock:3:", "vsock:-1:1", "vsock:3:4294967296"]
)
def test_a_vsock_is_dialled_by_two_numbers(text: str) -> None:
    with pytest.raises(AddressError, match="as vsock:3:1234"):
        parse_dial_address(text)

import errno
import os
import socket
from pathlib import Path

import pytest

from guestmux_protocol.addresses import Device, Unix
from guestmux_transport.dial import dial
from guestmux_transport.pipe_errors import (
    BusyError,
    NotFoundError,
    NotPermittedError,
    OpenError,
    RefusedError,
    open_error,
)
from tests.support.pipes import pty_pair, receive_exactly, until_readable

pytestmark = pytest.mark.anyio


async def test_a_unix_socket_is_dialled(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as guest:
        guest.bind(str(tmp_path / "guest"))
        guest.listen()
        pipe = await dial(Unix(str(tmp_path / "guest")))
        assert pipe.name == f"unix:{tmp_path}/guest"
        with guest.accept()[0] as connection:
            pipe.write(b"ping")
            assert connection.recv(99) == b"ping"
        assert await pipe.receive() == b""
        pipe.close()


async def test_a_pty_is_dialled_raw_and_ends_with_its_other_side() -> None:
    with pty_pair() as (guest, path):
        pipe = await dial(Device(path))
        pipe.write(b"ping\n")
        await until_readable(guest)
        assert os.read(guest, 99) == b"ping\n"
        os.write(guest, b"\xffpong\n")
        assert await receive_exactly(pipe, 6) == b"\xffpong\n"
        with pytest.raises(BusyError, match="another process holds the port"):
            await dial(Device(path))
        os.write(guest, b"unread")
        pipe.close()
        again = await dial(Device(path))
        os.write(guest, b"fresh")
        assert await again.receive() == b"fresh"
    await again.wait_closed()
    assert await again.receive() == b""
    again.close()


async def test_what_does_not_exist_is_said(tmp_path: Path) -> None:
    for address in (Unix(str(tmp_path / "x")), Device(str(tmp_path / "x")), Unix("/dev/null/x")):
        with pytest.raises(NotFoundError, match=f"^{address}: not found$"):
            await dial(address)


async def test_a_socket_without_a_listener_refuses(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as guest:
        guest.bind(str(tmp_path / "guest"))
        with pytest.raises(RefusedError, match="nobody listens there"):
            await dial(Unix(str(tmp_path / "guest")))


async def test_another_kind_of_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OpenError):
        await dial(Unix(str(tmp_path / "file")))
    with pytest.raises(OpenError, match="not a character device"):
        await dial(Device(str(tmp_path / "file")))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, NotPermittedError),
        (errno.EPERM, NotPermittedError),
        (errno.EBUSY, BusyError),
        (errno.ENXIO, NotFoundError),
        (errno.EMFILE, OpenError),
        (None, OpenError),
    ],
)
def test_what_the_kernel_says_gets_a_class_and_a_text(number: int | None, kind: type[OpenError]) -> None:
    error = open_error("unix:/x", OSError(number, "") if number else OSError("AF_UNIX path too long"))
    assert type(error) is kind
    assert str(error).startswith("unix:/x: ")

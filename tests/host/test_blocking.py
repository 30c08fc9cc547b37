"""The facade for scripts, against a guest in another thread."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from anyio.from_thread import start_blocking_portal

import guestmux
from guestmux import blocking
from tests.support.standin_guest import StandInGuest, session, standin_guest


class RemoteControl:
    """The stand-in, whose methods run in its own thread."""

    def __init__(self, standin: StandInGuest, portal: object) -> None:
        self.standin = standin
        self.call = portal.call  # type: ignore[attr-defined]


@pytest.fixture
def remote(dialect: str) -> Iterator[RemoteControl]:
    with (
        TemporaryDirectory(prefix="guestmux-host-") as directory,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(standin_guest(Path(directory), dialect)) as standin,
    ):
        yield RemoteControl(standin, portal)


@pytest.fixture
def guest(remote: RemoteControl) -> Iterator[blocking.Guest]:
    with blocking.connect(remote.standin.address) as guest:
        yield guest


def test_calls(guest: blocking.Guest, remote: RemoteControl, dialect: str) -> None:
    remote.standin.sessions = [session("c2", active=True, agents=[{"name": "stock", "version": "1"}])]
    remote.standin.commands["session-lock"] = lambda _: {"locked": True, "confirmed": True}
    guest.ping()
    assert [found.session for found in guest.sessions()] == ["c2"]
    assert [user.user for user in guest.users()] == ["alice"]
    assert "session-lock" in guest.schema().commands
    assert guest.lock("c2", timeout=3).locked
    assert guest.call("guest-ping") == {}
    assert guest.wait_session().session == "c2"
    assert guest.wait_agent("c2").name == "stock"
    assert (guest.dialect, guest.connected, str(guest.address)) == (dialect, True, remote.standin.address)


def test_errors_come_out_as_they_are(guest: blocking.Guest) -> None:
    with pytest.raises(guestmux.CommandNotFound):
        guest.call("x")
    with pytest.raises(guestmux.CommandNotFound):
        guest.notify("summary")


@pytest.mark.parametrize("dialect", ["mux"])
def test_streams(guest: blocking.Guest, remote: RemoteControl) -> None:
    remote.standin.streams["x"] = lambda stream: stream.accept({"size": 3})
    with guest.stream("x", path="/a") as stream:
        (opened,) = remote.standin.opened["x"]
        assert stream.reply == {"size": 3}
        stream.send(b"to the guest")
        stream.send_eof()
        guest.ping()
        assert opened.received == b"to the guest"
        remote.call(opened.send, b"one")
        assert stream.receive(2) == b"on"
        remote.call(opened.close, {"bytes": 3})
        assert list(stream) == [b"e"]
        assert stream.receive() == b""
        assert stream.result() == {"bytes": 3}
        assert "blocking" in repr(stream)
    with guest.stream("x") as stream:
        stream.fail("no")
        stream.close()


def test_a_guest_without_streams(guest: blocking.Guest, dialect: str) -> None:
    assert guest.has_streams == (dialect == "mux")
    with pytest.raises((guestmux.NoStreams, guestmux.CommandNotFound)):
        guest.stream("x")


def test_events(guest: blocking.Guest, remote: RemoteControl) -> None:
    remote.standin.sessions = [session("c2")]
    with guest.events("SESSION_*") as stream:
        assert stream.snapshot.sessions[0].session == "c2"
        remote.call(remote.standin.emit, "SESSION_LOCK")
        event = next(stream)
        assert isinstance(event, guestmux.Event)
        assert event.name == "SESSION_LOCK"
        assert stream.position == guestmux.Position(epoch="epoch-1", seq=1)
        assert "SESSION_*" in repr(stream)


def test_events_end_when_the_time_is_over(guest: blocking.Guest) -> None:
    assert list(guest.events(timeout=0.01)) == []


def test_events_end_when_the_stream_is_closed(guest: blocking.Guest) -> None:
    stream = guest.events()
    stream.close()
    assert list(stream) == []


def test_an_error_in_the_block_comes_out_as_it_is(remote: RemoteControl) -> None:
    with pytest.raises(ZeroDivisionError), blocking.connect(remote.standin.address):
        raise ZeroDivisionError


def test_it_has_every_method_with_the_same_arguments() -> None:
    of_facade, of_guest = (
        {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }
        for kind in (blocking.Guest, guestmux.Guest)
    )
    assert of_facade.pop("events") == [*of_guest.pop("events"), "timeout"]
    assert of_facade == {name: of_guest[name] for name in of_facade}
    assert of_guest.keys() - of_facade.keys() == {"open", "keep", "close"}, "these are for `connect`"

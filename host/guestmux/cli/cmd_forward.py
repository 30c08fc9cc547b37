"""`guestmux forward`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import click

from guestmux.cli.descriptors import read_some, write_all
from guestmux.cli.options import call_timeout, connecting, session_option, talk, wait_agent
from guestmux.cli.output import ReaderGone, warn
from guestmux.cli.transfer import STANDARD
from guestmux.cli.usage import SESSIONS, examples, paragraphs
from guestmux.copying import LocalFileError
from guestmux.forward_address import TcpListen, parse_listen_address
from guestmux.guest import Guest
from guestmux.joint import Joint
from guestmux_protocol.local_sockets import parse_local_socket


@click.command(
    epilog=paragraphs(
        SESSIONS,
        examples(
            "guestmux forward tcp:2222 tcp:22",
            "guestmux forward -s user:alice unix:/run/user/1000/alice.sock unix:/run/user/1000/pipewire-0",
            "ssh -o ProxyCommand='guestmux forward - tcp:22' alice@desktop7",
        ),
    )
)
@click.argument("local")
@click.argument("remote")
@session_option
@click.option("-q", "--quiet", is_flag=True, help="Do not say where we listen, nor which connections failed.")
@wait_agent
@call_timeout
@connecting
def forward(
    local: str,
    remote: str,
    session: str | None,
    quiet: bool,
    wait_agent: float | None,
    timeout: float | None,
) -> None:
    """Let programs of this host connect to a socket in the guest, without a network.

    LOCAL is where we listen: unix:PATH (",mode=0600" sets its permissions), tcp:PORT or tcp:ADDRESS:PORT. Without an
    ADDRESS only programs of this host can connect. With - for LOCAL one connection is made, between REMOTE and our
    stdin and stdout.

    REMOTE is in the guest: unix:/PATH, unix:@NAME, or a port of its loopback: tcp:PORT, tcp:127.0.0.1:PORT,
    tcp:[::1]:PORT. With --session the session's user connects, else root, by the guest's system agent.

    The guest refuses it until its /etc/guestmux/eventd.toml has a [[policy]] table with enable = ["guest-connect"]:
    who may connect there reaches all that trusts whoever is on the same machine.

    It goes on until it is interrupted. When the guest restarts, connections end, and new ones reach it again.
    """
    routing: dict[str, Any] = {"session": session, "wait": wait_agent, "timeout": timeout}
    parse_local_socket(remote)
    if local == STANDARD:
        talk(partial(_join_standard, remote=remote, routing=routing))
        return
    address = parse_listen_address(local)
    if isinstance(address, TcpListen) and not address.is_loopback and not quiet:
        warn(f"whoever reaches {address} reaches {remote} in the guest")

    async def work(guest: Guest) -> None:
        on_failure: Callable[[str], None] = (lambda _: None) if quiet else warn
        async with guest.forward(local, remote, on_failure=on_failure, **routing) as forwarding:
            if not quiet:
                warn(f"{forwarding.local} leads to {remote} in the guest")
            await anyio.sleep_forever()

    talk(work, reconnect=True)


class _Standard:
    """Our stdin and stdout, as the end of a connection."""

    async def receive(self) -> bytes:
        """Read from stdin."""
        return await read_some(sys.stdin.fileno())

    async def send(self, data: bytes) -> None:
        """Write to stdout."""
        await write_all(sys.stdout.fileno(), data)

    def send_eof(self) -> None:
        """Our end says it."""


async def _join_standard(guest: Guest, *, remote: str, routing: dict[str, Any]) -> None:
    async with await guest.dial(remote, **routing) as stream:
        try:
            await Joint(_Standard(), stream, outlasts_guest=False).run()
        except BrokenPipeError as error:
            raise ReaderGone from error
        except OSError as error:
            raise LocalFileError(f"stdin or stdout: {error.strerror or error}") from error

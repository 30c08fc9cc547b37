"""`guestmux doctor`: what works between this host and a guest."""

from __future__ import annotations

import os

import anyio
import click

from guestmux import __version__
from guestmux.cli import exits
from guestmux.cli.guest_checks import GUEST_DOCTOR, check_guest
from guestmux.cli.options import Target, as_json, connecting
from guestmux.cli.output import say, say_json
from guestmux.cli.socket_checks import START_QEMU, check_others, check_path
from guestmux.cli.usage import examples
from guestmux.errors import ConnectError, GuestmuxError, RemoteError
from guestmux.guest import ADDRESS_VARIABLE, connect
from guestmux_protocol.addresses import AddressError, DialAddress, Vsock, parse_dial_address
from guestmux_protocol.findings import Finding, as_lines, exit_status, ok, problem
from guestmux_protocol.findings import as_json as findings_json
from guestmux_transport.pipe_errors import OpenError, RefusedError


@click.command(
    epilog=examples(
        "guestmux doctor -c unix:/run/vm/desktop7.guestmux",
        "guestmux doctor --json | jq -r '.findings[] | select(.level == \"problem\") | .what'",
    )
)
@as_json
@connecting
def doctor(as_json: bool) -> None:
    """Say what works between this host and the guest, what does not, and what to do about it.

    It looks at the address, connects, and asks the guest; it changes nothing. The guest's own half is
    `guestmux-eventd --doctor`, run in the guest.

    Exits with 0 when all is well, notes or not, and with 1 when there are problems.
    """
    context = click.get_current_context()
    target = context.ensure_object(Target)
    try:
        findings = anyio.run(examine, target)
    except KeyboardInterrupt:
        context.exit(exits.INTERRUPTED)
    if as_json:
        say_json(findings_json(findings))
    else:
        for line in as_lines(findings):
            say(line)
    context.exit(exit_status(findings))


async def examine(target: Target) -> list[Finding]:
    """Look at everything, each thing only as far as what it rests on works."""
    findings = [ok("version", f"guestmux {__version__}")]
    text = os.environ.get(ADDRESS_VARIABLE, "") if target.address is None else target.address
    try:
        address = parse_dial_address(text)
    except AddressError as error:
        return [*findings, _no_address(text, error)]
    findings += [ok("address", text), check_path(address)]
    if findings[-1].level != "problem":
        others = check_others(address)
        findings += [others] if others else []
        findings += await _connect(address, target.timeout, others)
    return findings


def _no_address(text: str, error: AddressError) -> Finding:
    if not text:
        return problem("address", "none is given", f"give one as -c unix:PATH, or set ${ADDRESS_VARIABLE}")
    return problem("address", str(error), "give one as -c unix:PATH")


async def _connect(address: DialAddress, timeout: float, others: Finding | None) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with connect(str(address), timeout=timeout, reconnect=False) as guest:
            findings.append(ok("connection", "the guest answers"))
            async for finding in check_guest(guest):
                findings.append(finding)  # noqa: PERF401 - what was found before the connection is lost must stay
    except ConnectError as error:
        findings.append(_not_connected(address, error, others))
    except GuestmuxError as error:
        findings.append(problem("calls", str(error), f"try again; {GUEST_DOCTOR}"))
    except RemoteError as error:
        findings.append(problem("agent", f"the guest says: {error.desc}", GUEST_DOCTOR))
    return findings


def _not_connected(address: DialAddress, error: ConnectError, others: Finding | None) -> Finding:
    if error.__cause__ is not None and isinstance(address, Vsock):
        do = f"does eventd have a port vsock-listen:{address.port}, and the machine guest-cid={address.cid}? "
        return problem("connection", str(error), f"{do}{GUEST_DOCTOR}")
    if isinstance(error.__cause__, RefusedError):
        return problem("connection", f"{error}: the QEMU that made the socket is gone", START_QEMU)
    if isinstance(error.__cause__, OpenError):
        return problem("connection", str(error), "ss -xp shows who is connected and who waits")
    if others and others.level == "note":
        return problem("connection", "no answer: another program has the port", others.do)
    do = f"is the guest booted, and guestmux-guest or qemu-ga installed in it? {GUEST_DOCTOR}"
    return problem("connection", str(error), do)

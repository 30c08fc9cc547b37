"""Who signed a bundle: asked of OpenSSH's ssh-keygen(1), by the keys that the guest's administrator trusts."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guestmux_protocol.agent_bundle import NAMESPACE
from guestmux_session.errors import CommandError
from guestmux_session.verbs.programs import ADMIN_PATH

SIGNERS = Path("/etc/guestmux/agent-signers")
"""The trusted keys, in the format of ALLOWED SIGNERS in ssh-keygen(1)."""

VERIFY_SECONDS = 10.0
"""It takes some milliseconds; a hung disk must not hold a host's call for ever."""

MAX_REASON = 512
"""Characters of what ssh-keygen says that an error repeats: it names the file and the line first."""

_WRITABLE_BY_OTHERS = 0o022
_KEY = re.compile(r" with ([A-Za-z0-9-]{1,32}) key (SHA256:[A-Za-z0-9+/=]{1,64})$", re.MULTILINE)


class Signatures:
    """Checks signatures; blocks.

    Args:
        signers: the trusted keys' file. Nobody but its owner may write to it.
        owner: who that must be.
    """

    def __init__(self, signers: Path = SIGNERS, owner: int = 0) -> None:
        self._signers = signers
        self._owner = owner

    def signer(self, text: bytes, untrusted_signature: str, identity: str, *, at: float | None = None) -> str:
        """The key that signed a text, as `ED25519 SHA256:…`.

        Args:
            text: what was signed.
            untrusted_signature: in OpenSSH's armour.
            identity: whom the key must be good for, by the file's principals.
            at: the time, in seconds since the epoch, at which the key must have been good; now where not given.

        Raises:
            CommandError: it is no signature of this text, or of no key that is trusted for this now.
        """
        self._check_signers()
        with _in_memory(untrusted_signature.encode("ascii", "replace")) as signature:
            who = ["-n", NAMESPACE, "-f", str(self._signers), "-I", identity]
            if at is not None:
                who += ["-O", f"verify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(at))}"]
            done = _ssh_keygen(["-Y", "verify", *who, "-s", f"/proc/self/fd/{signature}"], text, signature)
        key = _KEY.search(done.stdout)
        if done.returncode != 0 or key is None:
            raise CommandError(
                f"{self._signers} trusts no such signature for {identity}: {_reason(done.stderr)}"
            )
        return f"{key[1]} {key[2]}"

    def _check_signers(self) -> None:
        try:
            status = self._signers.stat()
        except OSError as error:
            raise CommandError(
                f"no key is trusted in this guest: {self._signers}: {error.strerror}"
            ) from error
        if status.st_uid != self._owner or status.st_mode & _WRITABLE_BY_OTHERS:
            raise CommandError(f"no key is trusted in this guest: {self._signers} can be written by others")


def _ssh_keygen(arguments: list[str], given: bytes, kept: int) -> subprocess.CompletedProcess[str]:
    """Run it; it inherits one descriptor."""
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=given.decode(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={"PATH": ADMIN_PATH, "LC_ALL": "C"},
            pass_fds=(kept,),
            timeout=VERIFY_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError("signatures cannot be checked: ssh-keygen (openssh-client) is missing") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"signatures cannot be checked: {error}") from error


@contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A file that ssh-keygen can open by a path, and nobody change meanwhile."""
    with open(os.memfd_create("signature"), "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(content)
        yield file.fileno()


def _reason(stderr: str) -> str:
    """The last thing that it complains of; it is silent about a key that it does not find."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    return lines[-1][:MAX_REASON] if lines else "the key is not there, or not for this agent and user"

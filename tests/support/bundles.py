"""Bundles for tests, made and signed without any of the host's code."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

NAMESPACE = "guestmux-agent@guestmux.org"
NAME = "org.example.clock"


class Key:
    """An SSH key.

    Args:
        folder: where to make it.
        name: of its file.
    """

    def __init__(self, folder: Path, name: str = "key") -> None:
        self.path = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path], check=True)

    @property
    def public(self) -> str:
        """The line of its public half."""
        return self.path.with_suffix(".pub").read_text()

    def sign(self, text: str, namespace: str = NAMESPACE) -> str:
        """A signature in OpenSSH's armour."""
        command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", str(self.path)]
        done = subprocess.run(command, input=text, check=True, capture_output=True, text=True)
        return done.stdout


def described(path: str, content: bytes, **members: Any) -> dict[str, Any]:
    """A file in a manifest."""
    digest = sha256(content).hexdigest()
    return {"path": path, "size": len(content), "sha256": digest, "executable": path == "run", **members}


def manifest(contents: dict[str, bytes], version: str = "1.0", **members: Any) -> str:
    """A manifest of some files; the program is `run`."""
    files = [described(path, content) for path, content in contents.items()]
    whole = {"guestmux-agent": 1, "name": NAME, "version": version, "exec": ["run"], "files": files}
    return json.dumps({**whole, **members})

"""Runs in the virtual machine, as root: executes the commands that the test sends over a virtio port of its own.

A request and its reply are a line of JSON each. No part of guestmux, and never installed with it.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

ABSENT_SECONDS = 0.05
"""Between two looks for a host that is not there; a blocking read gives the end of file at once then."""


def execute(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command to its end; status 124 when it took too long, as timeout(1) says it."""
    try:
        result = subprocess.run(
            request["command"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=request["timeout"],
            env=request["environment"],
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"status": 124, "stdout": "", "stderr": "it took too long"}
    except OSError as error:
        return {"status": 127, "stdout": "", "stderr": str(error)}
    return {
        "status": result.returncode,
        "stdout": result.stdout.decode(errors="replace"),
        "stderr": result.stderr.decode(errors="replace"),
    }


def serve(port: int) -> None:
    """Answer requests for ever."""
    buffer = b""
    while True:
        data = os.read(port, 65536)
        if not data:
            buffer = b""
            time.sleep(ABSENT_SECONDS)
            continue
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            reply = json.dumps({"id": request["id"], **execute(request)}).encode() + b"\n"
            while reply:
                reply = reply[os.write(port, reply) :]


if __name__ == "__main__":
    serve(os.open(sys.argv[1], os.O_RDWR | os.O_CLOEXEC))

"""An agent with a stream: follows a file, like tail -f. Run it in a session: python examples/log_tail_agent.py."""

from io import SEEK_END
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from guestmux_session import Agent, CommandError, Data, ServedStream, stream


class Opened(Data, frozen=True):
    """A file is followed."""

    size: int


class LogTail(Agent):
    name = "org.example.log-tail"
    version = "1.0"

    @stream("__org.example_tail", reply=Opened)
    async def tail(self, stream: ServedStream, path: str, back: int = 1000) -> None:
        """Send the last bytes of a file, and what is added to it."""
        try:
            file = await run_sync(Path(path).open, "rb")
        except OSError as error:
            raise CommandError(f"cannot open {path}: {error.strerror}") from error
        with file:
            size = file.seek(0, SEEK_END)
            file.seek(max(0, size - back))
            await stream.accept(Opened(size=size))
            while True:
                while data := await run_sync(file.read, 65536):
                    await stream.send(data)
                await anyio.sleep(0.5)


if __name__ == "__main__":
    LogTail().main()

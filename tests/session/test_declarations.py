"""Commands and events from a class."""

import json
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta

from guestmux_protocol.registry import declared_command
from guestmux_protocol.schema import InvalidParameter
from guestmux_protocol.session_commands import SESSION, SessionLockCommand
from guestmux_session import Arguments, command, command_of
from guestmux_session.declarations import command_schema, commands_of


class Point(Arguments, frozen=True, kw_only=True):
    x_axis: int
    label: str = ""


class Everything:
    @command("__org.example_all")
    async def everything(
        self,
        text: str,
        points: list[Point],
        mode: Literal["a", "b"] = "a",
        percent: Annotated[int, Meta(ge=0, le=100)] = 50,
        limit: int | None = None,
        extra: dict[str, Any] = {},  # noqa: B006 - copied for each call
    ) -> list[Point]:
        """Do everything.

        And more.
        """
        return points

    @command("__org.example_nothing")
    async def nothing(self) -> None:
        """Do nothing."""


class Better(Everything):
    async def nothing(self) -> None:
        """Overridden; still a command."""


def schema(name: str, owner: object) -> Any:
    return json.loads(command_schema(commands_of(owner)[name].description))


def test_the_schema_is_what_eventd_reads() -> None:
    point = {"x-axis": "int", "*label": "str"}
    assert schema("__org.example_all", Everything()) == {
        "data": {
            "text": "str",
            "points": [point],
            "*mode": {"enum": ["a", "b"]},
            "*percent": "int",
            "*limit": "int",
            "*extra": "any",
        },
        "returns": [point],
        "doc": "Do everything.",
    }
    assert schema("__org.example_nothing", Everything()) == {
        "data": {},
        "returns": {},
        "doc": "Do nothing.",
    }
    for name, served in commands_of(Everything()).items():
        declared_command(name, command_schema(served.description))


def test_a_bound_that_qapi_cannot_express_is_kept_here() -> None:
    served = commands_of(Everything())["__org.example_all"]
    with pytest.raises(InvalidParameter, match="<= 100"):
        served.prepare({"text": "", "points": [], "percent": 101})


def test_an_overriding_method_stays_a_command() -> None:
    served = commands_of(Better())
    assert served["__org.example_nothing"].method.__doc__ == "Overridden; still a command."


def test_mistakes_are_said_when_the_agent_is_made() -> None:
    class NoAnnotation:
        @command("__x_a")
        async def run(self, text) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    class NoReturn:
        @command("__x_a")
        async def run(self, text: str): ...  # type: ignore[no-untyped-def]  # noqa: ANN202

    class Star:
        @command("__x_a")
        async def run(self, *texts: str) -> None: ...

    class Unknown:
        @command("__x_a")
        async def run(self, text: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    class Twice:
        @command("__x_a")
        async def one(self) -> None: ...

        @command("__x_a")
        async def two(self) -> None: ...

    class NoType:
        @command("__x_a")
        async def run(self, text: object) -> None: ...

    class OtherClass:
        @command_of(SESSION["session-unlock"])
        async def run(self, asked: SessionLockCommand) -> None: ...

    for cls in (NoAnnotation, NoReturn, Star, Unknown, Twice, NoType, OtherClass):
        with pytest.raises(TypeError):
            commands_of(cls())

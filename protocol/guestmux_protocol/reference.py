"""Reference pages in Markdown, made from the typed commands and events, so that they cannot go stale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from guestmux_protocol.commands import QMP_ONLY
from guestmux_protocol.registry import Command, EventType, Keep
from guestmux_protocol.schema import ANYTHING, Alternate, Array, Enumeration, Member, Object, Type, describe

_KEPT: dict[Keep, str] = {
    "every": "every one",
    "last": "the last value",
    "bounded": "a bounded number",
    "none": "none, it is about the stream itself",
}


def commands_page(title: str, introduction: str, commands: Iterable[Command]) -> str:
    """A page that describes commands and the types that they use.

    Args:
        title: the page's heading.
        introduction: Markdown that stands before the first command.
        commands: in the order in which they are to stand.
    """
    known = list(commands)
    taken = [member.type for command in known for member in command.arguments.members]
    types = _named_types([*taken, *(command.returns for command in known)])
    contents = "\n".join(f"- [`{command.name}`](#{_anchor(command.name)})" for command in known)
    return _page(title, introduction, contents, *map(_command, known), _types_section(types))


def events_page(title: str, introduction: str, events: Iterable[EventType]) -> str:
    """A page that describes events and the types that they use; arguments as `commands_page` takes them."""
    known = list(events)
    types = _named_types(member.type for event in known for member in event.data.members)
    contents = "\n".join(f"- [`{event.name}`](#{_anchor(event.name)})" for event in known)
    return _page(title, introduction, contents, *map(_event, known), _types_section(types))


def members_table(heading: str, members: Iterable[Member]) -> str:
    """A Markdown table of an object's members, one a row, under the heading that says what they are."""
    rows = [(f"`{member.name}`", _type(member.type), _given(member), member.doc) for member in members]
    return table((heading, "type", "given", "meaning"), rows)


def table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    cells = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in cells)


def _given(member: Member) -> str:
    if member.required:
        return "always"
    return f"optional, else `{member.default}`" if member.default else "optional"


def _page(title: str, *parts: str) -> str:
    return _paragraphs(f"# {title}", *parts) + "\n"


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _command(command: Command) -> str:
    ports = "On `qmp` ports only." if command.name in QMP_ONLY else ""
    arguments = _members("argument", command.arguments)
    return _paragraphs(f"## `{command.name}`", command.doc, ports, arguments, _returns(command))


def _returns(command: Command) -> str:
    if command.stream:
        return f"A stream, on the mux dialect alone. Opening it answers {_type(command.returns)}."
    if not command.success_response:
        return "Answers only where it fails."
    return f"Returns {_type(command.returns)}."


def _event(event: EventType) -> str:
    kept = f"Journal: {_KEPT[event.keep]}."
    return _paragraphs(f"## `{event.name}`", event.doc, _members("data", event.data), kept)


def _types_section(types: list[Object]) -> str:
    return _paragraphs("## Types", *map(_named_type, types)) if types else ""


def _named_type(kind: Object) -> str:
    return _paragraphs(f"### {kind.name}", kind.doc, _members("member", kind))


def _members(heading: str, kind: Object) -> str:
    if kind.members:
        return members_table(heading, kind.members)
    return f"Takes any {heading}s." if kind == ANYTHING else ""


def _named_types(kinds: Iterable[Type]) -> list[Object]:
    """The objects within some types, each once, by name."""
    found = {one.name: one for kind in kinds for one in _objects(kind)}
    return [found[name] for name in sorted(found)]


def _objects(kind: Type) -> Iterator[Object]:
    if isinstance(kind, Array):
        yield from _objects(kind.items)
    elif isinstance(kind, Alternate):
        for choice in kind.types:
            yield from _objects(choice)
    elif isinstance(kind, Object) and kind.members:
        yield kind
        for member in kind.members:
            yield from _objects(member.type)


def _type(kind: Type) -> str:
    if isinstance(kind, Array):
        return f"array of {_type(kind.items)}"
    if isinstance(kind, Enumeration):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, Alternate):
        return ", or ".join(map(_type, kind.types))
    if not isinstance(kind, Object):
        return describe(kind)
    if kind.members:
        return f"[{kind.name}](#{_anchor(kind.name)})"
    return "an object with any members" if kind == ANYTHING else "an empty object"


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

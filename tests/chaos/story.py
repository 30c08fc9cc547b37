"""Whether the journal's story is one: each login and each logout once, over all runs and crashes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.chaos.hearing import Finding
from tests.chaos.ledger import Key, Value
from tests.chaos.records import Said
from tests.chaos.sessions import change_of
from tests.chaos.stored import Stored


@dataclass(slots=True)
class Story:
    """How things stand by all that was read of it."""

    standing: dict[Key, Value] = field(default_factory=dict)
    agents: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, said: Said) -> Iterator[str]:
        """Read on; gives what is wrong with it."""
        if said.name in ("AGENT_REGISTERED", "AGENT_GONE"):
            yield from self._take_agent(said)
        change = change_of(said)
        # Who was in the foreground for a moment is not known to anybody; a lock that nobody confirmed is told again.
        if (
            change is None
            or change[0][1] in ("foreground", "awake", "on")
            or said.data.get("confirmed") is False
        ):
            return
        key, value = change
        if self.standing.get(key, False) == value:
            yield f"{key} is {value} already"
        self._know(key, value)

    def _know(self, key: Key, value: Value) -> None:
        if value:
            self.standing[key] = value
            return
        gone = [each for each in self.standing if each == key or (key[1] == "alive" and each[0] == key[0])]
        for each in gone:
            del self.standing[each]

    def _take_agent(self, said: Said) -> Iterator[str]:
        agent = said.data["session"], said.data["agent"]
        if said.name == "AGENT_GONE" and self.agents.pop(agent, None) is None:
            yield f"{agent} is gone, and was not there"
        # Its commands may change while it is there: that is the same run of eventd.
        elif said.name == "AGENT_REGISTERED" and self.agents.setdefault(agent, said.epoch) != said.epoch:
            yield f"{agent} registers, and is there by an earlier run"


def check_story(stored: Stored) -> Iterator[Finding]:
    """Complain of what is told twice, or not taken back, and of what eventd remembers otherwise than it was told."""
    story = Story()
    for said in stored.events:
        for text in story.take(said):
            yield Finding("", f"the journal's event {said.seq}: {said.name} {said.data}: {text}", said.at)
    remembered: dict[Key, Value] = {}
    for session in stored.sessions:
        found = session.session()
        states = {"alive": True, "locked": found.locked, "idle": found.idle}
        remembered |= {(found.session, name): True for name, value in states.items() if value}
    if remembered != story.standing:
        yield Finding("", f"remembered is {remembered}, and told was {story.standing}")
    if set(stored.agents) != story.agents.keys():
        yield Finding("", f"remembered are {stored.agents}, and told were {list(story.agents)}")

"""The stock agents' commands about agents that hosts push: for a session's user, or for the system."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.agent_bundle import MAX_MANIFEST, MAX_SIGNATURE, AgentName
from guestmux_protocol.registry import Arguments, Command, Data, command, doc

AGENTS: dict[str, Command] = {}
"""These commands, by name."""

MAX_LINES = 10_000
"""Lines of a log that are told at once: what a person scrolls through."""

Name: TypeAlias = Annotated[AgentName, doc("The agent's, as it registers.")]
Signer: TypeAlias = Annotated[
    str | UnsetType, doc("The key that signed it, as `ED25519 SHA256:…`; left out where none did.")
]


class AgentInstallOpened(Data, frozen=True, kw_only=True):
    """The answer to an installation's opening: the bundle may come."""

    wanted: Annotated[int, doc("Bytes that are to be sent; 0 where this very bundle is installed already.")]
    former: Annotated[str | UnsetType, doc("The version that is to be replaced.")] = UNSET
    signer: Signer = UNSET


class AgentInstalled(Data, frozen=True, kw_only=True):
    """How an installation ended: the agent runs, and is registered."""

    name: str
    version: str
    session: Annotated[str, doc("Where it has registered: logind's id, or `system`.")]
    former: Annotated[str | UnsetType, doc("The version that it has replaced.")] = UNSET
    signer: Signer = UNSET
    unchanged: Annotated[bool, doc("This very bundle was installed already.")] = False


class InstalledAgent(Data, frozen=True, kw_only=True):
    """A pushed agent."""

    name: str
    version: str
    unit: Annotated[
        str, doc("Its unit's state, as systemd has it: `active`, `activating`, `failed`, `inactive`.")
    ]
    session: Annotated[
        str | UnsetType, doc("Where this version is registered; left out where it is not.")
    ] = UNSET
    signer: Signer = UNSET


class AgentRemoved(Data, frozen=True):
    """What was removed."""

    version: str


class AgentLogOpened(Data, frozen=True):
    """The answer to a log's opening."""

    unit: Annotated[str, doc("The unit's name in the guest.")]


@command(AGENTS, "agent-install", returns=AgentInstallOpened, stream=True)
class AgentInstall(Arguments, frozen=True):
    """Install an agent, or a newer version of it, start it, and wait until it is registered.

    In a session it is that user's, and starts with each login; in the system agent it is root's. The stream takes the
    contents of the manifest's files, one behind the other. Its result comes when the agent is registered. An agent that
    does not register in its time is removed, or the version before it put back; so it is when the host leaves before.
    """

    name: Name
    manifest: Annotated[
        str,
        Meta(max_length=MAX_MANIFEST),
        doc("JSON, exactly as it was signed; docs/agents.md has its members."),
    ]
    signature: Annotated[
        Annotated[str, Meta(max_length=MAX_SIGNATURE)] | UnsetType,
        doc("What `ssh-keygen -Y sign` made of it. The guest's policy says whether it may be left out."),
    ] = UNSET
    force: Annotated[bool, doc("Also where a newer version is installed.")] = False
    upgrade: Annotated[bool, doc("Only where a version is installed.")] = False


@command(AGENTS, "agent-list", returns=list[InstalledAgent])
class AgentList(Arguments, frozen=True):
    """Tell the agents that were installed by `agent-install`, for this user or for the system."""


@command(AGENTS, "agent-remove", returns=AgentRemoved)
class AgentRemove(Arguments, frozen=True):
    """Stop an agent that was installed by `agent-install`, and remove it."""

    name: Name


@command(AGENTS, "agent-logs", returns=AgentLogOpened, stream=True)
class AgentLogs(Arguments, frozen=True):
    """Send what an installed agent has written to the guest's journal, as text."""

    name: Name
    lines: Annotated[Annotated[int, Meta(ge=0, le=MAX_LINES)], doc("How many of the last.")] = 100
    follow: Annotated[bool, doc("Go on with what it writes from now on.")] = False

"""The relay under any interleaving: hosts' and agents' machines joined by wires that deliver what and when they like.

No byte is lost, doubled or moved; nobody is accused of what he did not do; and what ends leaves nothing behind.
"""

from __future__ import annotations

import operator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from guestmux_eventd.credit_pool import CreditPool
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.stream_relay import StreamEnd, StreamRelay
from guestmux_protocol.mux import (
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Failure,
    Frame,
    Multiplexer,
    MuxLimits,
    Open,
    Reply,
)

LIMITS = MuxLimits(max_frame=512, window=2000, max_streams=8)
POOL, LEAST = 1500, 200
STREAMS = 2
HOST, AGENT = "host", "agent"

INDEX = st.integers(0, STREAMS - 1)
MOSTLY = st.sampled_from([True] * 9 + [False])


class Talk:
    """What was done with one stream, and what came of it."""

    def __init__(self) -> None:
        self.relay: StreamRelay | None = None
        self.number: dict[str, int] = {}
        self.told = False
        self.open: set[str] = set()
        self.refused = False
        self.cancelled = False
        self.sent = {HOST: b"", AGENT: b""}
        self.came = {HOST: b"", AGENT: b""}
        self.closed: set[str] = set()
        self.broke: set[str] = set()
        self.heard: dict[str, list[Close]] = {HOST: [], AGENT: []}


class Relaying(RuleBasedStateMachine):
    """A host, eventd with its two connections, and an agent."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = (CreditPool(POOL, LEAST), CreditPool(POOL, LEAST))
        self.ends = {
            HOST: Multiplexer("asker", LIMITS, party="host"),
            AGENT: Multiplexer("server", LIMITS, party="agent"),
        }
        self.to_host, self.to_agent = Multiplexer("server", LIMITS), Multiplexer("asker", LIMITS)
        self.wires: list[list[Any]] = [
            [self.ends[HOST], self.to_host, b"", self.eventd_hears_the_host],
            [self.to_host, self.ends[HOST], b"", self.host_hears],
            [self.to_agent, self.ends[AGENT], b"", self.agent_hears],
            [self.ends[AGENT], self.to_agent, b"", self.eventd_hears_the_agent],
        ]
        self.talks: list[Talk] = []
        self.deliver_everything()

    # ---- wires

    def deliver(self, wire: list[Any], most: int) -> bool:
        sender, receiver, held, take = wire
        held += sender.bytes_to_send(most)
        piece, wire[2] = held[:most], held[most:]
        for frame in receiver.receive(piece) if piece else ():
            take(frame)
        return bool(piece)

    def deliver_everything(self) -> None:
        while sum(self.deliver(wire, 1 << 16) for wire in self.wires):
            pass

    def talk(self, party: str, number: int) -> Talk:
        (found,) = [talk for talk in self.talks if talk.number.get(party) == number]
        return found

    # ---- eventd, as MuxSession and AgentChannel have it

    def eventd_hears_the_host(self, frame: Frame) -> None:
        if isinstance(frame, Open):
            talk = self.talk(HOST, frame.stream)
            relay = talk.relay = StreamRelay(
                StreamEnd(self.to_host, frame.stream, lambda: None, "host"), *self.pools
            )
            talk.number[AGENT] = self.to_agent.open(frame.command, b"{}")
            relay.ask(StreamEnd(self.to_agent, talk.number[AGENT], lambda: None, "agent"), "")
        elif isinstance(frame, Cancel):
            talk = self.talk(HOST, frame.id)
            assert talk.relay
            talk.relay.abandon(Failure("GenericError", "given up", "host"))
            self.tell(talk, "given up")
        elif isinstance(frame, Data | Credit | Close):
            talk = self.talk(HOST, frame.stream)
            assert talk.relay
            talk.relay.from_host(frame)

    def eventd_hears_the_agent(self, frame: Frame) -> None:
        number = frame.id if isinstance(frame, Reply | Error) else getattr(frame, "stream", 0)
        if not number:
            return  # HELLO
        talk = self.talk(AGENT, number)
        relay = talk.relay
        assert relay
        if talk.told and isinstance(frame, Reply | Error):
            return  # nobody wants it any more
        if isinstance(frame, Reply):
            relay.accepted(frame.value)
            talk.told = not relay.refusal
        elif isinstance(frame, Error):
            relay.refused(CommandFailure(frame.desc))
        elif isinstance(frame, Data | Credit | Close):
            relay.from_agent(frame)
        if relay.refusal:
            self.tell(talk, relay.refusal.desc)

    def tell(self, talk: Talk, desc: str) -> None:
        if not talk.told:
            talk.told = True
            self.to_host.error(talk.number[HOST], "GenericError", desc)

    # ---- what host and agent hear

    def host_hears(self, frame: Frame) -> None:
        if isinstance(frame, Error):
            talk = self.talk(HOST, frame.id)
            assert talk.refused or talk.cancelled, frame
        elif isinstance(frame, Reply):
            self.talk(HOST, frame.id).open.add(HOST)
        else:
            self.party_hears(HOST, frame)

    def agent_hears(self, frame: Frame) -> None:
        if not isinstance(frame, Open | Cancel):
            self.party_hears(AGENT, frame)

    def party_hears(self, party: str, frame: Frame) -> None:
        if isinstance(frame, Data):
            self.talk(party, frame.stream).came[party] += frame.data
        elif isinstance(frame, Close):
            self.talk(party, frame.stream).heard[party].append(frame)

    # ---- what host and agent do

    @rule(index=st.integers(0, 3), most=st.integers(1, 1500))
    def some_bytes_pass(self, index: int, most: int) -> None:
        self.deliver(self.wires[index], most)

    @precondition(lambda self: len(self.talks) < STREAMS)
    @rule(credit=st.integers(0, 3000))
    def the_host_opens(self, credit: int) -> None:
        talk = Talk()
        talk.number[HOST] = self.ends[HOST].open("x", b"{}", credit=credit)
        self.talks.append(talk)

    @rule(index=INDEX, stays=MOSTLY)
    def the_host_gives_up(self, index: int, stays: bool) -> None:
        if index < len(self.talks) and not stays:
            talk = self.talks[index]
            talk.cancelled = True
            self.ends[HOST].cancel(talk.number[HOST])

    @rule(index=INDEX, accepts=MOSTLY, credit=st.integers(0, 3000))
    def the_agent_answers(self, index: int, accepts: bool, credit: int) -> None:
        talk = self.talks[index] if index < len(self.talks) else None
        if talk is None or AGENT in talk.open or talk.refused or not self.was_asked(talk):
            return
        if accepts:
            self.ends[AGENT].reply(talk.number[AGENT], b"{}", credit=credit)
            talk.open.add(AGENT)
        else:
            self.ends[AGENT].error(talk.number[AGENT], "GenericError", "no")
            talk.refused = True

    def was_asked(self, talk: Talk) -> bool:
        return talk.number.get(AGENT) in self.ends[AGENT].over()[1]

    @rule(
        index=INDEX,
        party=st.sampled_from([HOST, AGENT]),
        data=st.binary(min_size=1, max_size=900),
    )
    def somebody_sends(self, index: int, party: str, data: bytes) -> None:
        if index < len(self.talks) and party in self.talks[index].open:
            talk, mux = self.talks[index], self.ends[party]
            if data := data[: mux.sendable(talk.number[party])]:
                mux.send(talk.number[party], data)
                talk.sent[party] += data

    @rule(index=INDEX, party=st.sampled_from([HOST, AGENT]), count=st.integers(1, 3000))
    def somebody_takes_more(self, index: int, party: str, count: int) -> None:
        if index < len(self.talks) and party in self.talks[index].open:
            self.ends[party].grant(self.talks[index].number[party], count)

    @rule(index=INDEX, party=st.sampled_from([HOST, AGENT]), breaks=MOSTLY.map(operator.not_), stays=MOSTLY)
    def somebody_closes(self, index: int, party: str, breaks: bool, stays: bool) -> None:
        if stays or index >= len(self.talks) or party not in self.talks[index].open:
            return
        talk, mux = self.talks[index], self.ends[party]
        if breaks:
            liar: Any = AGENT if party == HOST else HOST
            mux.close(talk.number[party], Failure("GenericError", party, liar))
            talk.broke.add(party)
        else:
            mux.close(talk.number[party])
            talk.closed.add(party)

    # ---- what holds

    @invariant()
    def nothing_is_lost_doubled_or_moved(self) -> None:
        for talk in self.talks:
            assert talk.sent[HOST].startswith(talk.came[AGENT])
            assert talk.sent[AGENT].startswith(talk.came[HOST])

    @invariant()
    def eventd_keeps_little(self) -> None:
        for pool in self.pools:
            assert 0 <= pool.open <= POOL + len(self.talks) * LEAST
        for mux in (self.to_host, self.to_agent):
            assert mux.pending <= len(self.talks) * (LIMITS.window + 4096) + 4096

    @invariant()
    def nobody_is_accused_wrongly(self) -> None:
        for talk in self.talks:
            # What is given up before its answer is broken by eventd where the two cross.
            more = {"host", "eventd"} if talk.cancelled else set()
            for party, other in ((HOST, AGENT), (AGENT, HOST)):
                accused = {close.failure.party for close in talk.heard[party] if close.failure}
                assert accused <= {other} | more

    def teardown(self) -> None:
        """Everything arrives, what is read is paid for, and whoever is left closes: then nothing is left."""
        self.deliver_everything()
        for talk in self.talks:
            for party in (HOST, AGENT):
                if party in talk.open:
                    self.ends[party].grant(talk.number[party], 10_000)
        self.deliver_everything()
        for talk in self.talks:
            self.check_that_it_goes_on(talk)
            self.check_what_came(talk)
            if self.was_asked(talk) and AGENT not in talk.open and not talk.refused:
                self.ends[AGENT].error(talk.number[AGENT], "GenericError", "no")
                talk.refused = True
            for party in talk.open:
                self.ends[party].close(talk.number[party])
        self.deliver_everything()
        for mux in (*self.ends.values(), self.to_host, self.to_agent):
            assert mux.over() == ([], [])
        assert [(pool.open, pool.ways) for pool in self.pools] == [(0, 0)] * 2

    def check_that_it_goes_on(self, talk: Talk) -> None:
        for party, other in ((HOST, AGENT), (AGENT, HOST)):
            if talk.open == {HOST, AGENT} and party not in talk.closed and not talk.broke:
                for _ in range(10):
                    data = bytes(self.ends[party].sendable(talk.number[party]))
                    assert data, "nobody may send, though the other takes more"
                    self.ends[party].send(talk.number[party], data)
                    talk.sent[party] += data
                    self.deliver_everything()
                    assert talk.came[other] == talk.sent[party]
                    self.ends[other].grant(talk.number[other], len(data))
                    self.deliver_everything()

    def check_what_came(self, talk: Talk) -> None:
        for party, other in ((HOST, AGENT), (AGENT, HOST)):
            if party in talk.closed and not talk.broke and not talk.cancelled:
                assert talk.came[other] == talk.sent[party]
                assert [close.failure for close in talk.heard[other]] == [None]


TestRelaying = Relaying.TestCase
TestRelaying.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)

"""Both ends of a mux connection under any interleaving, joined directly and by a relay.

Nothing is lost or doubled inside a stream, no credit leaks, nobody breaks a rule, everything comes to rest, and memory
stays within what was granted, whatever is opened, sent, granted, closed, cancelled, broken, reset and cut off in
whatever order, and however the wire cuts the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guestmux_protocol.mux import (
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Multiplexer,
    MuxFull,
    MuxLimits,
    Open,
    Reply,
    Request,
)
from guestmux_protocol.mux.stream import RECEIVING, SENDING, Stream
from tests.support.mux_wire import Relay, Wire

WINDOW = 1500
LIMITS = MuxLimits(max_frame=512, window=WINDOW, max_streams=4, max_requests=3, value_bytes=2000)
BULK = 10
BULK_LIMITS = MuxLimits(max_frame=6000, window=BULK * WINDOW, max_streams=4, max_requests=3, value_bytes=9000)
"""Frames that are taken and sent without a codec; all sizes are tenfold."""
ASKER, SERVER = 0, 1
SIDES = st.sampled_from([ASKER, SERVER])
CREDITS = st.sampled_from([0, 1, 700, 1500, 2000])
MANY = 4
"""Questions asked before a connection may be cut: most runs are to get somewhere."""
SIZES = st.sampled_from([1, 2, 100, 511, 512, 513, 1500])
PATTERN = bytes(range(251)) * 200  # a period that no limit is a multiple of


@dataclass
class Talk:
    """One stream as the test knows it; each pair has the asker's side first.

    Attributes:
        key: told in OPEN's arguments, as numbers differ behind a relay.
        numbers: its number at each side, 0 where it is not known.
        open: where it was accepted.
        sent: bytes that each side sent.
        got: bytes that each side received.
        closed: who sent a clean CLOSE.
        ended: who received one.
        broken: who broke it, or was told that it broke.
    """

    key: int
    numbers: list[int] = field(default_factory=lambda: [0, 0])
    open: list[bool] = field(default_factory=lambda: [False, False])
    sent: list[int] = field(default_factory=lambda: [0, 0])
    got: list[int] = field(default_factory=lambda: [0, 0])
    closed: list[bool] = field(default_factory=lambda: [False, False])
    ended: list[bool] = field(default_factory=lambda: [False, False])
    broken: list[bool] = field(default_factory=lambda: [False, False])

    def alive(self, side: int) -> bool:
        """Whether this side may do something with it."""
        return self.open[side] and not self.broken[side] and not (self.closed[side] and self.ended[side])

    def bytes(self, side: int, size: int) -> bytes:
        """What `side` sends next."""
        start = (self.sent[side] + 13 * self.key + side) % 251
        return PATTERN[start : start + size]


class MuxMachine(RuleBasedStateMachine):
    """A host and an agent on one wire."""

    limits = LIMITS
    factor = 1

    def __init__(self) -> None:
        super().__init__()
        self.talks: dict[int, Talk] = {}
        self.requests: dict[int, int] = {}  # asker's number to key
        self.asked: dict[int, int] = {}  # server's number to key, of requests
        self.waiting: dict[int, Talk] = {}  # server's number to talk, of opens
        self.events = [0, 0]
        self.keys = 0
        self.connect()

    # How the ends are joined

    def connect(self) -> None:
        self.wire = Wire(self.limits, self.at_asker, self.at_server)

    def wires(self) -> list[Wire]:
        return [self.wire]

    def end(self, side: int) -> Multiplexer:
        return self.wire.asker if side == ASKER else self.wire.server

    def settle(self) -> None:
        self.wire.settle()

    @rule(side=SIDES, most=st.integers(1, 3000), which=st.integers(0, 1))
    def write(self, side: int, most: int, which: int) -> None:
        self.wires()[which % len(self.wires())].write(side, most)

    @rule(side=SIDES, most=st.integers(1, 3000), which=st.integers(0, 1))
    def deliver(self, side: int, most: int, which: int) -> None:
        self.wires()[which % len(self.wires())].deliver(side, most)

    @rule(sizes=st.lists(st.integers(1, 3000), min_size=2, max_size=6))
    def flow(self, sizes: list[int]) -> None:
        for at, most in enumerate(sizes):
            for wire in self.wires():
                wire.write(at % 2, most)
                wire.deliver(1 - at % 2, most - at)

    @initialize(credit=CREDITS)
    def begin_with_streams(self, credit: int) -> None:
        self.begin(credit, "a")
        self.begin(credit, "b")

    @rule(credit=CREDITS, group=st.sampled_from(["", "a", "b"]))
    def begin(self, credit: int, group: str) -> None:
        """A stream that is open both ways, without waiting for what is needed to come about by chance."""
        before = {*self.waiting}
        self.open(credit, group)
        self.settle()
        for number in {*self.waiting} - before:
            self.accept(number, credit)
        self.settle()

    @precondition(lambda self: self.keys > MANY)
    @rule(side=SIDES, reset=st.booleans())
    def cut(self, side: int, reset: bool) -> None:
        if reset:
            self.wire.reset(side)
        self.forget(ASKER)
        self.forget(SERVER)
        self.connect()

    def forget(self, side: int) -> None:
        """This side lost its connection."""
        if side == ASKER:
            self.requests.clear()
        else:
            self.asked.clear()
            self.waiting.clear()
        for talk in self.talks.values():
            if talk.numbers[side]:
                talk.numbers[side], talk.broken[side] = 0, True
        self.talks = {key: talk for key, talk in self.talks.items() if not all(talk.broken)}

    # What the asker does

    @rule(size=st.integers(0, 300))
    def ask(self, size: int) -> None:
        try:
            number = self.end(ASKER).request("x", b"%d" % self.next_key(), b"x" * size)
        except MuxFull:
            return
        self.requests[number] = self.keys

    @rule(credit=CREDITS, group=st.sampled_from(["", "a", "b"]))
    def open(self, credit: int, group: str) -> None:
        talk = Talk(self.next_key())
        try:
            number = self.end(ASKER).open("y", b"%d" % talk.key, group=group, credit=credit * self.factor)
        except MuxFull:
            return
        talk.numbers[ASKER] = number
        self.talks[talk.key] = talk

    def next_key(self) -> int:
        self.keys += 1
        return self.keys

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def cancel_request(self, data: st.DataObject) -> None:
        self.end(ASKER).cancel(data.draw(st.sampled_from(sorted(self.requests))))

    @rule(data=st.data())
    def cancel_open(self, data: st.DataObject) -> None:
        unanswered = [talk for talk in self.talks.values() if not talk.open[ASKER] and not talk.broken[ASKER]]
        if unanswered:
            self.end(ASKER).cancel(data.draw(st.sampled_from(unanswered)).numbers[ASKER])

    # What the server does

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), well=st.booleans())
    def answer(self, data: st.DataObject, well: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.asked)))
        key = self.asked.pop(number)
        if well:
            self.end(SERVER).reply(number, b"%d" % key)
        else:
            self.end(SERVER).error(number, "GenericError", str(key))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), credit=CREDITS, well=st.booleans())
    def answer_open(self, data: st.DataObject, credit: int, well: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.waiting)))
        if well:
            self.accept(number, credit)
        else:
            self.waiting.pop(number).broken[SERVER] = True
            self.end(SERVER).error(number, "GenericError", "refused")

    def accept(self, number: int, credit: int) -> None:
        talk = self.waiting.pop(number)
        self.end(SERVER).reply(number, b"%d" % talk.key, group="g", credit=credit * self.factor)
        talk.open[SERVER] = True

    @rule()
    def event(self) -> None:
        self.events[SERVER] += 1
        self.end(SERVER).event(self.events[SERVER], "X", b"{}", 0)

    # What both do

    def pick(self, data: st.DataObject, side: int) -> Talk | None:
        alive = [talk for talk in self.talks.values() if talk.alive(side)]
        return data.draw(st.sampled_from(alive)) if alive else None

    @rule(data=st.data(), side=SIDES, size=SIZES)
    def send(self, data: st.DataObject, side: int, size: int) -> None:
        if talk := self.pick(data, side):
            self.send_some(talk, side, size)

    def send_some(self, talk: Talk, side: int, size: int) -> None:
        number = talk.numbers[side]
        content = talk.bytes(side, min(size * self.factor, self.end(side).sendable(number)))
        assert not (content and talk.closed[side])
        self.end(side).send(number, content)
        talk.sent[side] += len(content)

    @rule(data=st.data(), side=SIDES)
    def finish(self, data: st.DataObject, side: int) -> None:
        """All that may be sent, in pieces, and the end behind it."""
        if talk := self.pick(data, side):
            self.send_some(talk, side, 600)
            self.send_some(talk, side, 1500)
            self.close_clean(talk, side)

    @rule(data=st.data(), side=SIDES, size=SIZES)
    def grant(self, data: st.DataObject, side: int, size: int) -> None:
        if talk := self.pick(data, side):
            self.end(side).grant(talk.numbers[side], size * self.factor)

    @rule(data=st.data(), side=SIDES)
    def close(self, data: st.DataObject, side: int) -> None:
        if talk := self.pick(data, side):
            self.close_clean(talk, side)

    def close_clean(self, talk: Talk, side: int) -> None:
        self.end(side).close(talk.numbers[side], None, b"%d" % talk.key if side == SERVER else None)
        talk.closed[side] = True

    @rule(data=st.data(), side=SIDES)
    def fail(self, data: st.DataObject, side: int) -> None:
        if talk := self.pick(data, side):
            self.end(side).close(talk.numbers[side], Failure("GenericError", str(talk.key), "host"))
            talk.broken[side] = True

    @rule()
    def rest(self) -> None:
        self.settle()
        self.check_credit()

    # What comes

    def at_asker(self, frame: Frame) -> None:
        if isinstance(frame, Reply | Error):
            self.answered(frame)
        elif isinstance(frame, Event):
            self.events[ASKER] += 1
            assert frame.seq > self.events[ASKER] - 1
        else:
            assert isinstance(frame, Data | Credit | Close)
            self.came(frame, ASKER)

    def answered(self, frame: Reply | Error) -> None:
        if (key := self.requests.pop(frame.id, None)) is not None:
            assert isinstance(frame, Error) or frame.value == b"%d" % key
            return
        (talk,) = [talk for talk in self.talks.values() if talk.numbers[ASKER] == frame.id]
        assert not talk.open[ASKER]
        talk.open[ASKER] = isinstance(frame, Reply)
        talk.broken[ASKER] = isinstance(frame, Error)

    def at_server(self, frame: Frame) -> None:
        if isinstance(frame, Request):
            self.asked[frame.id] = int(frame.arguments)
        elif isinstance(frame, Open):
            # Of one that is not there any more the asker has lost its end.
            key = int(frame.arguments)
            talk = self.talks.get(key) or Talk(key, broken=[True, False])
            self.talks[talk.key] = self.waiting[frame.stream] = talk
            talk.numbers[SERVER] = frame.stream
        elif isinstance(frame, Cancel):
            assert frame.id in self.asked or frame.id in self.waiting
        else:
            assert isinstance(frame, Data | Credit | Close)
            self.came(frame, SERVER)

    def came(self, frame: Data | Credit | Close, side: int) -> None:
        (talk,) = [talk for talk in self.talks.values() if talk.numbers[side] == frame.stream]
        assert not talk.broken[side]
        if isinstance(frame, Data):
            start = (talk.got[side] + 13 * talk.key + 1 - side) % 251
            assert frame.data == PATTERN[start : start + len(frame.data)]
            talk.got[side] += len(frame.data)
            assert talk.got[side] <= talk.sent[1 - side]
            assert not talk.ended[side]
        elif isinstance(frame, Close):
            self.close_came(talk, frame, side)

    def close_came(self, talk: Talk, close: Close, side: int) -> None:
        assert not talk.ended[side] or close.failure
        if close.failure:
            talk.broken[side] = True
        else:
            assert talk.closed[1 - side]
            assert talk.got[side] == talk.sent[1 - side], "lost at the end"
            assert close.value == (b"%d" % talk.key if side == ASKER else None)
            talk.ended[side] = True

    # What is always so

    def muxes(self) -> list[Multiplexer]:
        return [mux for wire in self.wires() for mux in (wire.asker, wire.server)]

    @invariant()
    def memory_is_bounded(self) -> None:
        for mux in self.muxes():
            streams = streams_of(mux)
            assert len(streams) <= self.limits.max_streams
            for stream in streams.values():
                assert stream.credit + stream.queue.size <= self.limits.window
                assert 0 <= stream.granted <= self.limits.window
                assert stream.credit >= 0

    def check_credit(self) -> None:
        """At rest each end may send what the other believes that it may, and nothing waits."""
        for wire in self.wires():
            assert (wire.asker.pending, wire.server.pending) == (0, 0)
            ours, theirs = streams_of(wire.asker), streams_of(wire.server)
            assert sorted(ours) == sorted(theirs)
            for number, stream in ours.items():
                self.check_way(stream, theirs[number])
                self.check_way(theirs[number], stream)

    def check_way(self, sender: Stream, receiver: Stream) -> None:
        assert sender.queue.size == 0
        if sender.state in SENDING:
            assert sender.credit == receiver.granted
        if receiver.due and receiver.state in RECEIVING:
            assert receiver.granted == self.limits.window

    def teardown(self) -> None:
        """What was sent has arrived; and when all is broken and answered, nothing is left."""
        self.settle()
        self.check_credit()
        for talk in self.talks.values():
            for side in (ASKER, SERVER):
                if all(talk.open) and not any(talk.broken):
                    assert talk.got[side] == talk.sent[1 - side]
        for number in [*self.asked]:
            self.end(SERVER).reply(number, b"%d" % self.asked.pop(number))
        for number in [*self.waiting]:
            self.end(SERVER).error(number, "GenericError", "over")
            self.waiting.pop(number).broken[SERVER] = True
        for talk in self.talks.values():
            if talk.alive(ASKER):
                self.end(ASKER).close(talk.numbers[ASKER], Failure("GenericError", "over", "host"))
                talk.broken[ASKER] = True
        self.settle()
        assert self.requests == {}
        for mux in self.muxes():
            assert mux.over() == ([], [])
            assert mux.pending == 0


class RelayMachine(MuxMachine):
    """A host, a relay and an agent."""

    def connect(self) -> None:
        self.relay = Relay(self.limits, self.at_asker, self.at_server)

    def wires(self) -> list[Wire]:
        return [self.relay.host, self.relay.agent]

    def end(self, side: int) -> Multiplexer:
        return self.relay.host.asker if side == ASKER else self.relay.agent.server

    def settle(self) -> None:
        self.relay.settle()

    @precondition(lambda self: self.keys > MANY)
    @rule(side=SIDES, reset=st.booleans())
    def cut(self, side: int, reset: bool) -> None:
        wire = self.relay.host if side == ASKER else self.relay.agent
        if reset:
            wire.reset(side)
        self.forget(side)
        if side == ASKER:
            self.relay.host_left()
        else:
            self.relay.agent_left()


class BulkMachine(MuxMachine):
    """With large frames."""

    limits = BULK_LIMITS
    factor = BULK


class BulkRelayMachine(RelayMachine):
    """With large frames."""

    limits = BULK_LIMITS
    factor = BULK


def streams_of(mux: Multiplexer) -> dict[int, Stream]:
    return mux._streams._streams


STEPS = settings(max_examples=100, stateful_step_count=40, deadline=None)

TestMux = MuxMachine.TestCase
TestMux.settings = STEPS
TestRelay = RelayMachine.TestCase
TestRelay.settings = STEPS
TestBulk = BulkMachine.TestCase
TestBulk.settings = STEPS
TestBulkRelay = BulkRelayMachine.TestCase
TestBulkRelay.settings = STEPS

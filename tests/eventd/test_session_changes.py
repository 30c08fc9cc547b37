"""Changes that wait: in their order, and those that an answer has told of already before it."""

from __future__ import annotations

from guestmux_eventd.session_changes import SessionChanges
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_signals import Signal

OLD, NEW = ":1.5", ":1.9"


def signal(serial: int, path: str = "/c1", sender: str = OLD) -> Signal:
    return Signal(sender, path, "i", "PropertiesChanged", "sa{sv}as", [], serial)


def reply(serial: int, sender: str = OLD) -> Reply:
    return Reply("a{sv}", [], [], sender, serial)


def test_each_is_taken_out_once_in_its_turn() -> None:
    changes = SessionChanges()
    places = [changes.put(signal(serial)) for serial in (3, 4, 8)]
    other = changes.put(signal(9, "/c2"))
    assert [each.serial for each in changes.upto("/c1", places[1])] == [3, 4]
    assert changes.upto("/c1", places[0]) == []
    assert [each.serial for each in changes.upto("/c1", other)] == [8]
    assert [each.serial for each in changes.upto("/c2", other)] == [9]
    assert repr(changes) == "<SessionChanges 0 waiting>"


def test_an_answer_knows_what_was_sent_before_it() -> None:
    changes = SessionChanges()
    last = [changes.put(signal(serial)) for serial in (3, 4, 8)][-1]
    assert [each.serial for each in changes.known_to("/c1", reply(5))] == [3, 4]
    assert changes.known_to("/c1", reply(5)) == []
    assert [each.serial for each in changes.upto("/c1", last)] == [8]
    assert changes.known_to("/c1", reply(100)) == []


def test_a_logind_that_came_later_knows_what_the_one_before_it_said() -> None:
    changes = SessionChanges()
    changes.put(signal(300))
    changes.logind_is(NEW)
    changes.put(signal(2, sender=NEW))
    assert [each.serial for each in changes.known_to("/c1", reply(2, NEW))] == [300]


def test_but_not_the_other_way_round() -> None:
    changes = SessionChanges()
    changes.logind_is(NEW)
    changes.put(signal(2, sender=NEW))
    assert changes.known_to("/c1", reply(300)) == []


def test_of_a_session_that_is_gone_nothing_waits() -> None:
    changes = SessionChanges()
    place = changes.put(signal(1))
    changes.forget("/c1")
    changes.forget("/c1")
    assert changes.upto("/c1", place) == []

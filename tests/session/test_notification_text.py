"""A host's text, as a notification server gets it."""

import html
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_session.notification_text import shown_text

PIECES = [
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    "<u>",
    "</u>",
    "<a href='x'>",
    "<img>",
    "&amp;",
    "&lt;",
    "&",
    "<",
    ">",
    "text",
]


@pytest.mark.parametrize(
    ("text", "shown", "plain"),
    [
        ("<b>a</b> & c", "<b>a</b> &amp; c", "a & c"),
        ("<b>a<i>b", "<b>a<i>b</i></b>", "ab"),
        ("a</b>", "a&lt;/b&gt;", "a"),
        ("<b><i>x</b></i>", "<b><i>x&lt;/b&gt;</i></b>", "x"),
        ("&lt;b&gt; &copy;", "&lt;b&gt; &amp;copy;", "<b> &copy;"),
        ('<a href="x">y</a>', '&lt;a href="x"&gt;y&lt;/a&gt;', '<a href="x">y</a>'),
        ("<img src='http://h/'/>", "&lt;img src='http://h/'/&gt;", "<img src='http://h/'/>"),
        ("<b onclick=x>", "&lt;b onclick=x&gt;", "<b onclick=x>"),
    ],
)
def test_markup(text: str, shown: str, plain: str) -> None:
    assert shown_text(text, markup=True, server_has_markup=True) == shown
    assert shown_text(text, markup=True, server_has_markup=False) == plain


@given(st.text())
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert html.unescape(shown_text(text, markup=False, server_has_markup=True)) == html.unescape(
        html.escape(text, quote=False)
    )
    assert "<" not in shown_text(text, markup=False, server_has_markup=True)
    assert shown_text(text, markup=False, server_has_markup=False) == text


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_a_server_can_always_parse_it_and_finds_nothing_else_in_it(text: str) -> None:
    root = ElementTree.fromstring(f"<r>{shown_text(text, markup=True, server_has_markup=True)}</r>")
    assert {element.tag for element in root.iter()} <= {"r", "b", "i", "u"}
    assert not any(element.attrib for element in root.iter())

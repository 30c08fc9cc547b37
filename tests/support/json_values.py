"""Hypothesis strategies of JSON values as `json_text.decode` gives them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

INT64 = st.integers(-(2**63), 2**63 - 1)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), INT64, st.floats(allow_nan=False, allow_infinity=False), TEXTS
)


def _containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4)


VALUES: st.SearchStrategy[Any] = st.recursive(SCALARS, _containers, max_leaves=8)

OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(TEXTS, VALUES, max_size=4)

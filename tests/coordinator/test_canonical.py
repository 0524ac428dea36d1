from __future__ import annotations

import json
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actp.errors import InvalidInput
from coordinator.canonical import canonical, digest, sha256


class Word(StrEnum):
    YES = "yes"


# The first three are examples of RFC 8785 (sections 3.2.2 and 3.2.3), as far as they have no fractions.
KNOWN = [
    ({"literals": [None, True, False]}, b'{"literals":[null,true,false]}'),
    (
        {"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew", "1": "One", "\U0001f600": "Smile",
         "\u0080": "Control", "\u00f6": "o"},
        '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"o","\u20ac":"Euro Sign",'
        '"\U0001f600":"Smile","\ufb33":"Hebrew"}'.encode(),
    ),
    ({"string": "\u20ac$\u000f\nA'B\"\\\\\"/"}, '{"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()),
    ({"b": 1, "a": (2, [3])}, b'{"a":[2,[3]],"b":1}'),
    (MappingProxyType({"b": Word.YES, "a": -1}), b'{"a":-1,"b":"yes"}'),
    ([2**53 - 1, -(2**53) + 1], b"[9007199254740991,-9007199254740991]"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "written"), KNOWN)
def test_values_have_the_one_form_of_rfc_8785(value: Any, written: bytes) -> None:
    assert canonical(value) == written
    assert digest(value) == sha256(written)


WRONG = [1.0, float("nan"), 2**53, -(2**53), {1: 2}, {None: 1}, b"bytes", {"a": [1.5]}, "\ud800", {"\udc00": 1}, {1, 2}]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_what_has_no_such_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        canonical(value)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_the_fast_way_and_the_long_way_write_the_same(value: Any) -> None:
    assert canonical(value) == canonical(proxied(value))
    assert json.loads(canonical(value)) == value


def proxied(value: Any) -> Any:
    """The same with mappings that only the long way knows, in another order."""
    if isinstance(value, dict):
        return MappingProxyType({name: proxied(value[name]) for name in reversed(value)})
    return [proxied(item) for item in value] if isinstance(value, list) else value

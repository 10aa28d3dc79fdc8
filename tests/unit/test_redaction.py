"""Masking: what it finds wherever it stands, and what it leaves alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.doors.redaction import Redaction, redaction
from orchestrator.patterns import any_of
from worker_client.contract.reports import Progress, TaskError


def test_where_nothing_is_configured_there_is_nothing_to_do() -> None:
    assert redaction([], []) is None
    assert redaction([], ["short"]) is None


def test_secrets_are_masked_wherever_they_stand() -> None:
    masks = Redaction([], ["hunter22", "hunter22-and-more", "short"])
    assert masks.text("a hunter22b hunter22-and-more short") == "a ***b *** short"


def test_each_line_of_a_secret_is_masked_as_output_comes_line_by_line() -> None:
    masks = Redaction([], ["-----BEGIN KEY-----\n  abcdef0123\nxyz\n-----END KEY-----"])
    assert [masks.text(line) for line in ("> abcdef0123 <", "-----BEGIN KEY-----", "xyz")] == ["> *** <", "***", "xyz"]


def test_how_json_and_addresses_write_a_secret_is_masked_too() -> None:
    masks = Redaction([], ['tok"7\\Zü@x'])
    for text in ('{"a": "tok\\"7\\\\Z\\u00fc@x"}', '{"a": "tok\\"7\\\\Zü@x"}', "https://me:tok%227%5CZ%C3%BC%40x@host"):
        assert masks.text(text) in {'{"a": "***"}', "https://me:***@host"}


def test_patterns_are_masked_each_with_its_own_flags() -> None:
    masks = Redaction([r"(?i)password=\S+", r"\b\d{16}\b", "(AKIA|ASIA)[0-9A-Z]{4,}"], ["hunter22"])
    text = "Password=x PASSWORD= akia1234 AKIA1234 1234567812345678 12345678123456789 hunter22"
    assert masks.text(text) == "*** PASSWORD= akia1234 *** *** 12345678123456789 ***"


def test_a_mask_is_no_longer_than_what_it_hides() -> None:
    assert Redaction([r"\d{1,5}"], []).text("1 12 123 12345") == "* ** *** ***"


def test_values_are_masked_at_every_depth_and_keep_their_shape() -> None:
    masks = Redaction([r"\d{16}"], ['say "hunter22"\n'])
    value = {"a": [1, 1.5, True, None, {'say "hunter22"\n': ['<say "hunter22"\n>']}], "card": 1234567812345678}
    assert masks.value(value) == {"a": [1, 1.5, True, None, {"***": ["<***>"]}], "card": "***"}


def test_what_comes_as_structs_or_anything_else_is_masked_too() -> None:
    masks = Redaction([], ["hunter22"])
    error = TaskError(message="no hunter22", details={"k": "hunter22"})
    assert masks.value(error) == {"message": "no ***", "details": {"k": "***"}}
    assert masks.value({"progress": Progress(percent=5.0)}) == {"progress": {"percent": 5.0}}
    assert masks.value(ValueError("hunter22")) == "ValueError('***')"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=json_values, around=st.tuples(st.text(), st.text()))
def test_a_secret_is_found_in_any_value_and_all_else_stays(value: Any, around: tuple[str, str]) -> None:
    secret = "\U0001f511secret\U0001f511"
    masks = Redaction([], [secret])
    assert masks.value(value) == value
    assert secret not in str(masks.value({around[0] + secret + around[1]: [value, secret]}))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "'(' is no regular expression: missing )"),
        ("a)|(b", "is no regular expression: unbalanced parenthesis"),
        ("(?x)a # to the end", "is no regular expression"),
        ("a*", "matches the empty text"),
        ("", "matches the empty text"),
        ("x|", "matches the empty text"),
        (r"(a)\1", "refers to a group"),
        ("(?P<name>a)", "refers to a group or names one"),
        ("(a)?(?(1)b|c)", "refers to a group"),
    ],
)
def test_a_pattern_that_cannot_be_one_of_many_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        any_of(["fine", pattern])
    assert words in str(caught.value)

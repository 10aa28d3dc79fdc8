"""How pages show times, amounts, and texts of others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dashboard import measures


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0s"), (0.4, "0s"), (59, "59s"), (60, "1m"), (61, "1m 01s"), (3599, "59m 59s"), (3600, "1h"), (8040, "2h 14m"),
        (86_400, "1d"), (90_000, "1d 01h"), (10 * 86_400 + 3600, "10d"),
    ],
)  # fmt: skip
def test_durations_have_two_units_at_most(seconds: float, said: str) -> None:
    assert measures.duration(seconds) == said


@pytest.mark.parametrize(
    ("usd", "said"), [(0, "$0.00"), (0.0042, "$0.0042"), (1.005, "$1.00"), (12345.6, "$12,345.60"), (-2, "$-2.00")]
)
def test_money(usd: float, said: str) -> None:
    assert measures.money(usd) == said


def test_sizes_and_large_numbers() -> None:
    assert [measures.size(count) for count in (0, 999, 1000, 4_250_000)] == ["0 B", "999 B", "1 kB", "4.2 MB"]
    assert [measures.large(count) for count in (0, 9999, 12_000, 1_250_000)] == ["0", "9,999", "12 k", "1.2 M"]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "link"),
        ("a\u202eb", "a\ufffdb"),
        ("a\u2066b\u200bc\ufeff", "a\ufffdb\ufffdc\ufffd"),
        ("a\rb\x00c\x9bd", "a\ufffdb\ufffdc\ufffdd"),
        ("tab\tline\nkept 中文 🙂", "tab\tline\nkept 中文 🙂"),
    ],
)
def test_texts_of_others_hide_nothing(text: str, seen: str) -> None:
    assert measures.shown(text) == seen


@given(st.text(max_size=300), st.integers(1, 50))
def test_texts_of_others_are_no_longer_than_asked(text: str, most: int) -> None:
    assert len(measures.shown(text, most)) <= most + 1
    assert len(measures.line(text, most)) <= most + 1
    assert "\n" not in measures.line(text, most)


def test_the_first_line_that_says_something() -> None:
    assert measures.line("\n\n   Fix it  \nmore") == "Fix it"
    assert measures.line("x" * 1_000_000, 10) == "x" * 10 + "…"

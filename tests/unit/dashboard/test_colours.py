"""Colours of terminals become classes, and nothing else of what a terminal obeys is left."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dashboard.colours import PLAIN, Look, html, nearest, pieces


def drawn(line: str, words: str = "", most: int = 1000) -> str:
    return str(html(pieces(line)[0], most, words))


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m.", '<span class="i1">red</span>.'),
        ("\x1b[1;92mok\x1b[22;39m.", '<span class="i10 bold">ok</span>.'),
        ("\x1b[4;9;3;2mx\x1b[24;29;23;22m.", '<span class="dim italic struck under">x</span>.'),
        ("\x1b[41;97mFAIL\x1b[m.", '<span class="g1">FAIL</span>.'),
        ("\x1b[7mturned\x1b[27m.", '<span class="g7">turned</span>.'),
        ("\x1b[31;7mturned\x1b[27m.", '<span class="g1">turned</span><span class="i1">.</span>'),
        ("\x1b[38;5;9mx\x1b[48;5;196my", '<span class="i9">x</span><span class="g1">y</span>'),
        ("\x1b[38;2;255;0;0mx\x1b[38:2::0:0:255my", '<span class="i1">x</span><span class="i4">y</span>'),
        ("\x1b[38;9;1;31mx", '<span class="i1 bold">x</span>'),
        ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x1b\\.", "link."),
        ("a\x1b[2K\x1b[1;1H\x1b[?25lb\x1b(Bc", "abc"),
        ("10%\r50%\r100%\r", "100%"),
        ("<script>&\"'\x00\u202e", "&lt;script&gt;&amp;&#34;&#39;\ufffd\ufffd"),
        ("\x1b[31m<b>\x1b[0m", '<span class="i1">&lt;b&gt;</span>'),
        ("half \x1b[3", "half 3"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would(line: str, seen: str) -> None:
    assert drawn(line) == seen


def test_a_look_lasts_until_it_is_changed() -> None:
    _, look = pieces("\x1b[1;32mgreen")
    assert look == Look(ink=2, forms=frozenset({"bold"}))
    again, _ = pieces("still", look)
    assert str(html(again, 100)) == '<span class="i2 bold">still</span>'
    assert pieces("\x1b[0m", look)[1] == PLAIN


def test_what_is_searched_for_is_marked_also_where_its_colour_changes() -> None:
    assert drawn("an ERROR here", "error") == "an <mark>ERROR</mark> here"
    assert drawn("ER\x1b[31mROR", "error") == '<mark>ER</mark><span class="i1"><mark>ROR</mark></span>'
    assert drawn("a<b>a", "<b>") == "a<mark>&lt;b&gt;</mark>a"


@given(st.text(alphabet="\x1b[]0123456789;:mKHabc<>&\r\x07\\ 中", max_size=80), st.integers(1, 40))
def test_nothing_of_a_terminal_is_left(line: str, most: int) -> None:
    made = drawn(line, most=most)
    assert "\x1b" not in made
    assert re.sub(r'</?(?:span|mark)(?: class="[a-z0-9 ]+")?>', "", made).count("<") == 0


@pytest.mark.parametrize(
    ("colour", "number"),
    [((0, 0, 0), 0), ((255, 255, 255), 15), ((128, 128, 128), 8), ((200, 200, 200), 7), ((205, 0, 0), 1), ((255, 120, 110), 9),
     ((0, 128, 0), 2), ((250, 200, 80), 11), ((30, 60, 200), 4), ((0, 180, 180), 6)],
)  # fmt: skip
def test_other_colours_are_the_nearest_of_the_sixteen(colour: tuple[int, int, int], number: int) -> None:
    assert nearest(*colour) == number

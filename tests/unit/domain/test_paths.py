"""Work paths: one spelling per directory, and what contains what."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.paths import MAX_BYTES, PathError, ancestors, canonical, contains, overlap, span

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
PIECES = st.lists(st.sampled_from(["a", "b", "A", "..", ".", "", "a.", " a ", "...", "é", "x-y", "a]", "a0", "a b"]) | NAMES)
POSIX = PIECES.map(lambda parts: "/" + "/".join(parts))
SEPARATED = st.tuples(PIECES, st.sampled_from(["\\", "/"])).map(lambda pair: pair[1].join(pair[0]))
ROOTS = st.sampled_from([
    "C:\\", "c:/", "z:\\", "\\\\srv\\share\\", "\\\\SRV\\Share/", "\\\\?\\C:\\", "\\\\?\\UNC\\srv\\share\\",
    "\\\\?\\unc\\srv\\share\\",
])  # fmt: skip
WINDOWS = st.tuples(ROOTS, SEPARATED).map("".join)
CANONICAL = (POSIX | WINDOWS).map(canonical)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/a/b", "/a/b"),
        ("/a//b/", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/../..", "/"),
        ("/A/b", "/A/b"),
        ("/a\\b", "/a\\b"),
        ("/a.", "/a."),
        ("/ a ", "/ a "),
        ("c:\\Users\\Me", "C:\\users\\me"),
        ("C:/Users//me/", "C:\\users\\me"),
        ("C:\\", "C:\\"),
        ("C:\\..\\..", "C:\\"),
        ("C:\\a\\..\\B.", "C:\\b"),
        ("C:\\dir. .\\x", "C:\\dir\\x"),
        ("\\\\?\\C:\\x", "C:\\x"),
        ("\\\\?\\UNC\\Srv\\Share\\X", "\\\\srv\\share\\x"),
        ("\\\\Srv\\Share", "\\\\srv\\share"),
        ("\\\\srv/share/a/..", "\\\\srv\\share"),
    ],
)
def test_equal_directories_are_equal_strings(path: str, expected: str) -> None:
    assert canonical(path) == expected


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("", "relative"),
        ("a/b", "relative"),
        ("./a", "relative"),
        ("~/a", "relative"),
        ("C:", "relative"),
        ("C:a", "relative"),
        ("\\a", "relative"),
        ("UNC\\srv\\share", "relative"),
        ("\\\\srv", "share"),
        ("\\\\srv\\", "share"),
        ("\\\\\\share", "share"),
        ("\\\\.\\pipe\\x", "device"),
        ("\\\\?\\\\\\?\\C:\\x", "device"),
        ("\\\\?/C:/x", "device"),
        ("\\\\..\\share\\x", "share"),
        ("\\\\srv\\..\\x", "share"),
        ("/a\0b", "NUL"),
        ("/a\ud800", "UTF-8"),
        ("/" + "a" * MAX_BYTES, "1024"),
        ("/" + "é" * (MAX_BYTES // 2), "1024"),
    ],
)
def test_what_is_no_directory_is_refused_with_a_reason(path: str, word: str) -> None:
    with pytest.raises(PathError, match=word):
        canonical(path)


def test_the_limit_is_in_bytes_of_the_canonical_path() -> None:
    longest = "/" + "é" * ((MAX_BYTES - 1) // 2)
    assert canonical(longest + "/" * 9_000) == longest


@given(POSIX | WINDOWS)
@example("C:\\.. \\a")
@example("C:\\a\\.. .\\b")
@example("C:\\İ")
@example("\\\\İ\\ẞ\\x")
def test_canonical_is_idempotent(path: str) -> None:
    once = canonical(path)
    assert canonical(once) == once


@given(CANONICAL)
def test_ancestors_are_canonical_and_each_contains_the_next(path: str) -> None:
    found = ancestors(path)
    assert found[0] == path
    assert len(set(found)) == len(found)
    assert all(canonical(above) == above for above in found)
    assert all(contains(above, below) for below, above in pairwise(found))


@given(CANONICAL, CANONICAL)
@example("/", "/")
@example("/", "/a")
@example("/a", "/a0")
@example("/a", "/a-b")
@example("/a", "/a/b")
@example("C:\\", "C:\\a")
@example("C:\\a", "C:\\a]")
@example("\\\\srv\\share", "\\\\srv\\share2\\a")
@example("/c:\\a", "C:\\")
def test_ancestors_span_and_contains_agree(one: str, other: str) -> None:
    assert contains(one, other) == (one in ancestors(other))
    low, high = span(one)
    below = other != one and low <= other < high
    assert below == (one in ancestors(other)[1:])
    # Databases compare bytes, Python code points: both must say the same.
    assert below == (other != one and low.encode() <= other.encode() < high.encode())


@given(CANONICAL, CANONICAL)
def test_overlap_is_symmetric(one: str, other: str) -> None:
    assert overlap(one, other) == overlap(other, one) == (one in ancestors(other) or other in ancestors(one))


@given(POSIX | WINDOWS, PIECES)
def test_going_down_stays_below(path: str, parts: list[str]) -> None:
    outer = canonical(path)
    inner = canonical("/".join([outer, *(part for part in parts if part.strip(". ") and "\0" not in part)]))
    assert contains(outer, inner)


def test_roots_have_themselves_as_the_only_ancestor() -> None:
    for root in ("/", "C:\\", "\\\\srv\\share"):
        assert ancestors(root) == [root]

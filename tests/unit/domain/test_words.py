"""What a search means."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.paths import canonical
from orchestrator.domain.principal import Pattern
from orchestrator.domain.words import (
    GAP,
    LONGEST,
    MOST_TIMES,
    MOST_WORDS,
    Texts,
    finds,
    may_find,
    phrases,
    places,
    words,
)

NOTHING = Texts("/a", None, None, None, None, None, None)


def among(prompt: str) -> list[str]:
    return words(NOTHING._replace(prompt=prompt))


def found(q: str, prompt: str) -> bool:
    asked = phrases(q)
    return bool(asked) and finds(asked, among(prompt))


@pytest.mark.parametrize(
    ("q", "prompt"),
    [
        ("login", "Fix the LOGIN page"),
        ("log", "Fix the login page"),
        ("page fix", "Fix the login page"),
        ('"login page"', "Fix the login page"),
        ("“login page”", "Fix the login page"),
        ("ärger", "ÄRGER mit der Strasse"),
        ("straße", "ÄRGER mit der Strasse"),
        ("ARGER", "arger"),
        ("é", "caf e\u0301 x"),
        ("fix", "ﬁx it"),
        ("ABC", "\uff41\uff42\uff43"),
        ("foo_bar.baz", "call foo_bar.baz() now"),
        ("foo_bar.ba", "call foo_bar.baz() now"),
        ("bar", "call foo_bar.baz() now"),
        ("#12", "closes #12."),
        ("12", "closes #12."),
        ("/srv/shop", "in /srv/shop/api"),
        ("v2.1", "release v2.1"),
        ("8f3a", "commit 8f3a77c"),
        ("登录", "请修复登录页面的错误"),
        ("修", "请修复登录页面的错误"),
        ("误", "请修复登录页面的错误"),
        ("登录页面", "请修复登录页面的错误"),
        ("修复bug", "请修复bug吧"),
        ("bug吧", "请修复bug吧"),
        ("データ", "データベース"),
        ("デー", "ﾃﾞｰﾀ"),
        ("한국", "한국어"),
        ("\U0001f600", "well done \U0001f600!"),
        ("it's", "it's done"),
        ("a" * 50, "a" * 60),
    ],
)
def test_found(q: str, prompt: str) -> None:
    assert found(q, prompt)


@pytest.mark.parametrize(
    ("q", "prompt"),
    [
        ("ogin", "login"),
        ('"the page"', "the login page"),
        ('"log"', "login"),
        ("login logout", "login"),
        ("12", "123"),
        ("f", "fix"),
        ("foo.baz", "foo_bar.baz"),
        ("登面", "登录页面"),
        ("录登", "登录"),
        ("arger", "ärger"),
        ("", "anything"),
        ("!?", "really!?"),
        ("* AND \\", "anything or all"),
        ("\0", "a"),
    ],
)
def test_not_found(q: str, prompt: str) -> None:
    assert not found(q, prompt)


def test_each_text_is_searched_and_no_phrase_goes_from_one_to_the_next() -> None:
    texts = Texts("/a", "one", '["two","three"]', "four", "five", '{"six":"seven\\neight \\u767b\\u5f55"}', '{"message":"nine"}')
    every = words(texts)
    for word in ("one", "two", "three", "four", "five", "seven", "eight", "登录", "nine"):
        assert finds(phrases(word), every)
        assert may_find(phrases(word), texts)
    assert finds(phrases('"two three"'), every)
    for other in ("six", "message", '"one two"', "neight", '"four five"', "null"):
        assert not finds(phrases(other), every)


def test_results_that_are_cut_off_or_empty() -> None:
    assert finds(phrases("begun"), words(NOTHING._replace(result='{"a":"begun and \\')))
    assert not finds(phrases("null"), words(NOTHING._replace(result="null", error="null")))
    assert finds(phrases("12"), words(NOTHING._replace(result="12")))
    assert words(NOTHING._replace(result='"\\ud83d\\ude00 \\/ \\u0000"')) == words(NOTHING._replace(result='" "'))


def test_what_is_kept_is_bounded() -> None:
    assert among("b" * 100)[-1] == "b" * LONGEST
    many = among("again " * (MOST_TIMES + 5))
    assert (many.count("again"), many[-5:]) == (MOST_TIMES, [GAP] * 5)
    long = among("页" * MOST_WORDS + "bug")
    assert len(long) == MOST_WORDS
    text = among(" ".join(map(str, range(MOST_WORDS))))
    assert len(text) == MOST_WORDS


PATHS = st.sampled_from(
    ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/ab", "C:\\", "C:\\x", "C:\\x\\y", "\\\\s\\d", "\\\\s\\d\\e", "/ä b"]
)


@given(PATHS, PATHS, st.booleans())
def test_places_are_words_of_the_task(path: str, pattern: str, below: bool) -> None:
    wanted = Pattern(canonical(pattern), below)
    (word,) = places([wanted])
    assert (word in words(NOTHING._replace(path=canonical(path)))) == wanted.covers(canonical(path))


def test_places_that_are_not_worth_while() -> None:
    assert places(None) == ()
    assert places([Pattern(f"/{number}", below=False) for number in range(21)]) == ()


ANY = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('ab1"登录 -_*\0😀éÄ'), max_size=30)


@given(ANY, ANY)
def test_nothing_raises_and_words_are_harmless(q: str, prompt: str) -> None:
    texts = NOTHING._replace(prompt=prompt, title=prompt, result=prompt, tags=q, error=q)
    every = words(texts)
    asked = phrases(q)
    assert all(word and not re.search(r"[\s\"'\\:&|!()*<>\0-\x1f]", word) for word in every)
    assert all(word for phrase in asked for word in phrase.words)
    if asked and finds(asked, every):
        assert may_find(asked, texts)
    if prompt and phrases(prompt):
        assert finds(phrases(f'"{prompt.replace(chr(34), " ")}"'), words(NOTHING._replace(prompt=prompt.replace('"', " "))))


def naive(q: str, prompt: str) -> bool:
    """The same for plain words: each is the beginning of some word."""
    texts: Sequence[str] = re.findall("[a-z]+", prompt.lower())
    wanted = re.findall("[a-z]+", q.lower())
    return bool(wanted) and all(
        any(text.startswith(word) if len(word) > 1 else text == word for text in texts) for word in wanted
    )


PLAIN = st.lists(st.text("abAB", min_size=1, max_size=3), max_size=4).map(" ".join)


@given(PLAIN, PLAIN)
def test_plain_words(q: str, prompt: str) -> None:
    assert found(q, prompt) == naive(q, prompt)

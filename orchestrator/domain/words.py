"""What a search means: how the texts of a task become words, how `q` becomes phrases of words, and which tasks those are in.

Stores keep these words and ask for these phrases; what they find is what `finds` says. See docs/searching.md.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from orchestrator.domain.paths import ancestors
from orchestrator.domain.principal import Pattern

LONGEST: Final = 40
"""Characters of a word that count."""
MOST_WORDS: Final = 16_000
"""Of a task; PostgreSQL counts no further than 16,383 places."""
MOST_TIMES: Final = 200
"""So often a word counts in one task; PostgreSQL keeps no more than 255 places of one."""
GAP: Final = "\ue002"
"""Stands between texts, and for what doesn't count; like the words of places it's no letter, so nobody can ask for it."""
_AT: Final = "\ue000"
_WITHIN: Final = "\ue001"
_MOST_PLACES: Final = 20

_DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean: written without spaces, or with endings."""
_SIGNS: Final = "\u2190-\u2bff\U0001f000-\U0001faff"
_PART: Final = re.compile(f"(?P<dense>[{_DENSE}]+)|[{_SIGNS}]|[^\\W_{_DENSE}{_SIGNS}]+")
_PLAIN: Final = re.compile("[a-z0-9]+")
_PIECE: Final = re.compile(r'"([^"]*)"?|[^\s"]+')
_QUOTES: Final = str.maketrans("\u201c\u201d\u201e", '"""')
_NAME: Final = re.compile(r'"(?:[^"\\]|\\.)*"\s*:')
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


class Texts(NamedTuple):
    """What is searched of a task, in this order, and where it lies; `tags`, `result` and `error` are JSON."""

    path: str
    title: str | None
    tags: str | None
    prompt: str | None
    description: str | None
    result: str | None
    error: str | None


CHARACTERS: Final = {"title": 500, "tags": 2_000, "prompt": 10_000, "description": 2_000, "result": 4_000, "error": 2_000}
"""So many of each text count, from its beginning."""


class Phrase(NamedTuple):
    """Words that stand together; `begins`: the last one may be the beginning of a longer one."""

    words: tuple[str, ...]
    begins: bool


def words(texts: Texts) -> list[str]:
    """The words of a task in order, first those of its place."""
    places = [f"{_WITHIN}{_digest(path)}" for path in ancestors(texts.path)]
    found = [f"{_AT}{_digest(texts.path)}", *places]
    for text in _spoken(texts):
        if len(found) < MOST_WORDS:
            found.append(GAP)
            found += _words(_folded(text))
    return _bounded(found[:MOST_WORDS])


def phrases(q: str) -> tuple[Phrase, ...]:
    """What `q` asks for: each of these has to be in a task. None of them: it has no words, which are in no task."""
    found: dict[Phrase, None] = {}
    for piece in _PIECE.finditer(_folded(q.translate(_QUOTES))):
        quoted = piece[1] is not None
        parts = list(_PART.finditer(piece[1] if quoted else piece[0]))
        if not parts:
            continue
        asked = [word for part in parts for word in _of(part)]
        last, dense = parts[-1][0], parts[-1].lastgroup == "dense"
        if dense and len(last) > 1:
            # The sign alone stands only where the writing ends, which isn't asked for.
            asked.pop()
        found[Phrase(tuple(asked), dense or not (quoted or len(last) == 1 or last.isdecimal()))] = None
    return tuple(found)


def finds(asked: Iterable[Phrase], among: Sequence[str]) -> bool:
    """Whether all the phrases are in the words of a task."""
    return all(_stands(phrase, among) for phrase in asked)


def may_find(asked: Iterable[Phrase], texts: Texts) -> bool:
    """False only where the words need not be looked at: one that is asked for is not even a part of the texts."""
    whole = _folded("\n".join(_spoken(texts)))
    return all(word in whole for phrase in asked for word in phrase.words)


def places(patterns: Iterable[Pattern] | None) -> tuple[str, ...]:
    """The words of which a task in one of the places has one; none when it isn't worth while to ask for them."""
    found = () if patterns is None else tuple(patterns)
    if len(found) > _MOST_PLACES:
        return ()
    return tuple(f"{_WITHIN if pattern.below else _AT}{_digest(pattern.path)}" for pattern in found)


def _stands(phrase: Phrase, among: Sequence[str]) -> bool:
    *before, last = phrase.words
    size = len(before)
    for at in range(size, len(among)):
        word = among[at]
        if (word == last or (phrase.begins and word.startswith(last))) and list(among[at - size : at]) == before:
            return True
    return False


def _spoken(texts: Texts) -> list[str]:
    """What is searched, as people read it."""
    found = (texts.title, _said(texts.tags), texts.prompt, texts.description, _said(texts.result), _said(texts.error))
    return [text for text in found if text]


def _folded(text: str) -> str:
    """Without what doesn't tell words apart: case, width, and the ways to write one and the same sign."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _words(folded: str) -> list[str]:
    if folded.isascii():
        return [word[:LONGEST] for word in _PLAIN.findall(folded)]
    return [word for part in _PART.finditer(folded) for word in _of(part)]


def _of(part: "re.Match[str]") -> Iterator[str]:
    """The words of a part: of dense writing each sign with the next one, the last one alone."""
    text = part[0]
    if part.lastgroup == "dense":
        yield from (text[at : at + 2] for at in range(len(text)))
    else:
        yield text[:LONGEST]


def _bounded(found: list[str]) -> list[str]:
    counts: dict[str, int] = {}
    for at, word in enumerate(found):
        counts[word] = times = counts.get(word, 0) + 1
        if times > MOST_TIMES:
            found[at] = GAP
    return found


def _said(json: str | None) -> str:
    """What JSON says, which may end in the midst: no names of members, no signs of its own."""
    if json is None or json == "null":
        return ""
    return _ESCAPE.sub(_unescaped, _NAME.sub(" ", json))


def _unescaped(escape: "re.Match[str]") -> str:
    code = int(escape[1], 16) if escape[1] else 0
    return " " if code == 0 or 0xD800 <= code < 0xE000 else chr(code)


def _digest(path: str) -> str:
    return blake2b(path.encode(), digest_size=8).hexdigest()

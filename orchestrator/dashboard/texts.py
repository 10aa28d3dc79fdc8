"""What the pages say, in the language of whoever looks: a file per language in `texts/`, the same keys in each."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent / "texts"
FIRST: Final = "en"
"""The language of those who want none that there is."""


class Texts:
    """A catalogue: `texts("tasks.did_retry", n=3)`. A text for several numbers has the forms `one` and `other`."""

    def __init__(self, language: str, entries: Mapping[str, Any]) -> None:
        self.language = language
        self._entries = entries

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, its `{names}` filled in. Raises KeyError where there is none."""
        entry: Any = self._entries
        for part in key.split("."):
            entry = entry[part]
        if isinstance(entry, Mapping):
            entry = entry["one" if values.get("n") == 1 and "one" in entry else "other"]
        return str(entry).format_map({name: number(value) for name, value in values.items()}) if values else str(entry)

    def has(self, key: str) -> bool:
        """Whether there is a text for a key: words of others, such as codes and names of events, may have none."""
        entry: Any = self._entries
        for part in key.split("."):
            if not isinstance(entry, Mapping) or part not in entry:
                return False
            entry = entry[part]
        return True

    def word(self, family: str, name: str) -> str:
        """The text of a word of a family, or the word itself."""
        key = f"{family}.{name}"
        return self(key) if "." not in name and self.has(key) else name


def number(value: object) -> object:
    """A whole number with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


@cache
def languages() -> tuple[str, ...]:
    """The languages that there are, the first one first."""
    found = sorted(path.stem for path in _FOLDER.glob("*.toml"))
    return (FIRST, *(name for name in found if name != FIRST))


@cache
def catalogue(language: str) -> Texts:
    """The texts of a language, one of `languages()`."""
    return Texts(language, tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8")))


def preferred(chosen: str | None, accepted: str) -> str:
    """The language that somebody chose, else the first one that their browser accepts (RFC 9110, 12.5.4)."""
    if chosen in languages():
        return str(chosen)
    for wanted in _by_weight(accepted):
        main = wanted.split("-")[0]
        for language in languages():
            if wanted == language.lower() or main == language.split("-")[0].lower():
                return language
    return FIRST


def _by_weight(accepted: str) -> list[str]:
    weighted = []
    for place, part in enumerate(accepted.lower().split(",")[:20]):
        name, _, parameter = part.strip().partition(";")
        weight = parameter.strip().removeprefix("q=") if parameter else "1"
        try:
            weighted.append((-float(weight), place, name.strip()))
        except ValueError:
            continue
    return [name for weight, _, name in sorted(weighted) if weight < 0]

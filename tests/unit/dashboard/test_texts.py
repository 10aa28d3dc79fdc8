"""The catalogue: the same in every language, all of it used, and no word of a page outside of it."""

import re
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator.dashboard.texts import Texts, catalogue, languages, preferred

HERE = Path(orchestrator.__file__).parent / "dashboard"
TEMPLATES = sorted((HERE / "templates").rglob("*.html"))
SOURCES = [*TEMPLATES, *sorted(HERE.rglob("*.py"))]
_KEY = re.compile(r"[\"']([a-z_]+(?:\.[a-z_0-9]+)+)[\"']")
# A key that is put together: `"menu." ~ name`, `f"did.{name}"`, `word("status", ...)`, and labels `<page>.<panel>`.
_FAMILY = re.compile(r"[\"']([a-z_]+\.[a-z_.]*?)[\"'] ~|f\"([a-z_]+\.[a-z_.]*?)\{|word\(\"([a-z_]+)\"")


def entries(language: str) -> dict[str, Any]:
    def walk(found: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in found.items():
            if isinstance(value, Mapping) and not {"one", "other"} & value.keys():
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    return dict(walk(catalogue(language)._entries, ""))


def forms(entry: Any) -> list[str]:
    return list(entry.values()) if isinstance(entry, Mapping) else [entry]


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", languages())
def test_a_language_says_all_that_the_first_says(language: str) -> None:
    first, other = entries("en"), entries(language)
    assert first.keys() == other.keys()
    for key, entry in first.items():
        wanted = set().union(*map(names, forms(entry)))
        assert set().union(*map(names, forms(other[key]))) <= wanted, key
        assert all(text.strip() for text in forms(other[key])), key


def test_chinese_is_chinese() -> None:
    own = {"frame.product", "frame.language"}
    same = [key for key, entry in entries("zh-Hans").items() if key not in own and entry == entries("en")[key]]
    assert [key for key in same if re.search("[A-Za-z]{4}", str(entries("en")[key]))] == []


def test_what_pages_ask_for_is_there_and_nothing_else() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    # Names of events look like keys.
    text = re.sub(r"\bon=\(.*?\)|_EVENTS\b.*", "", text)
    keys = entries("en").keys()
    found = {part for parts in _FAMILY.findall(text) for part in parts if part}
    families = tuple(part if "." in part else f"{part}." for part in found)
    roots = {known.split(".")[0] for known in keys}
    files = {path.name for path in HERE.rglob("*.*")}
    asked = {key for key in _KEY.findall(text) if key.split(".")[0] in roots} - files
    assert [key for key in asked if key not in keys and key not in families] == []
    pages = {path.stem for path in (HERE / "templates" / "pages").iterdir()}
    panels = {path.stem.replace("-", ".", 1).replace("-", "_") for path in (HERE / "templates" / "panels").iterdir()}
    named = asked | panels | {f"{page}.title" for page in pages} | {f"did.{name}" for name in _actions(text)}
    assert [key for key in keys if key not in named and not key.startswith(families)] == []


def _actions(text: str) -> set[str]:
    return set(re.findall(r"(?:on_task|calling)\(\s*\"([a-z_]+)\"", text))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(HERE)))
def test_a_template_has_no_words_no_styles_and_no_scripts_of_its_own(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:|\|\s*safe\b", text)
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
    bare = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)
    words = [found.strip() for found in re.findall(r">([^<>]*)<", bare) if re.search(r"[A-Za-z]{2}", found)]
    spoken = re.findall(r"\b(?:title|alt|placeholder|aria-label)=\"([^\"]*[A-Za-z]{2}[^\"]*)\"", bare)
    assert [word for word in [*words, *spoken] if word not in {"API", "curl", "Python", "JSON", "CPU", "UTC"}] == []


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "de-DE,de;q=0.9", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        (None, "zh-CN;q=0.3,en;q=0.8", "en"),
        (None, "zh;q=0", "en"),
        ("zh-Hans", "en", "zh-Hans"),
        ("../../etc", "zh", "zh-Hans"),
        (None, "zh;q=x, *;q=0.5, ,;;", "en"),
    ],
)
def test_the_language_is_the_one_that_is_wanted(chosen: str | None, accepted: str, language: str) -> None:
    assert preferred(chosen, accepted) == language


def test_numbers_choose_the_form() -> None:
    texts = Texts("en", {"t": {"n": {"one": "{n} task", "other": "{n} tasks"}}})
    assert [texts("t.n", n=n) for n in (0, 1, 12345)] == ["0 tasks", "1 task", "12,345 tasks"]


def test_words_of_others_are_shown_as_they_are() -> None:
    texts = catalogue("en")
    assert texts.word("status", "waiting") == "waiting"
    assert texts.word("status", "of.their.own") == "of.their.own"
    assert catalogue("zh-Hans").word("status", "waiting") == "等待中"

"""Makes a site of pages that are written for GitHub: links to files beside docs/ lead somewhere there, too.

Such a file stands in the site below `repository/`: as a page when it is Markdown, as it is otherwise. A link to a folder leads
to its README.md; where it has none, only the words of the link are left.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT: Final = Path(__file__).parents[1]
DOCS, BESIDE = "docs/", "repository/"

# Code comes first: what looks like a link in it is none.
_CODE_OR_LINK: Final = re.compile(
    r"^(?P<fence> *`{3,})[^\n]*\n.*?^ *`{3,} *$|`[^`\n]+`"
    r"|\[(?P<words>(?:!\[[^\]]*\]\([^)]*\)|[^\[\]])*)\]\((?P<target>[^)\s]+)\)",
    re.MULTILINE | re.DOTALL,
)


def on_config(config: MkDocsConfig) -> None:
    """Give headings the anchors that GitHub gives them."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside docs/ that the navigation and pages name, and those that these name in turn."""
    named = [_source(uri) for uri in _leaves(config.nav) if uri.startswith(BESIDE)]
    for file in files.documentation_pages():
        named += _linked(_source(file.src_uri), file.content_string)
    known: set[str] = set()
    while named:
        if (path := named.pop()) in known or path.startswith(DOCS) or not (ROOT / path).is_file():
            continue
        known.add(path)
        files.append(File.generated(config, _in_site(path), abs_src_path=str(ROOT / path), inclusion=InclusionLevel.INCLUDED))
        if path.endswith(".md"):
            named += _linked(path, (ROOT / path).read_text(encoding="utf-8"))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead the links of a page to where their files are in the site, and write for MkDocs what GitHub reads otherwise."""
    return adapted(_CODE_OR_LINK.sub(partial(_led, _source(page.file.src_uri)), markdown))


def adapted(markdown: str) -> str:
    """Bars in the code of tables need no backslash here, and a fence has one word."""
    markdown = re.sub(r"(?m)^( *`{3,}\w+) .*$", r"\1", markdown)
    return re.sub(r"(?m)^\|.*\|$", lambda row: re.sub(r"`[^`]+`", lambda code: code[0].replace(r"\|", "|"), row[0]), markdown)


def _led(source: str, found: re.Match[str]) -> str:
    """A link as it is in the site; the words of a link may be a picture, which is a link of its own."""
    target = found["target"]
    if target is None or _elsewhere(target):
        return found[0]
    words = _CODE_OR_LINK.sub(partial(_led, source), found["words"])
    path, hash_, anchor = target.partition("#")
    if (there := _file(source, path)) is None:
        return words
    return f"[{words}]({relpath(_in_site(there), dirname(_in_site(source)) or '.')}{hash_}{anchor})"


def _linked(source: str, text: str) -> Iterator[str]:
    for found in _CODE_OR_LINK.finditer(text):
        if (target := found["target"]) and not _elsewhere(target) and (there := _file(source, target.partition("#")[0])):
            yield there
        if words := found["words"]:
            yield from _linked(source, words)


def _elsewhere(target: str) -> bool:
    return target.startswith("#") or re.match(r"[a-z]+:", target) is not None


def _file(source: str, path: str) -> str | None:
    """What a link leads to, from the root of the repository; a file that is not there is left to MkDocs to be told."""
    there = normpath(join(dirname(source), path))
    if (ROOT / there).is_dir():
        there = f"{there}/README.md"
        return there if (ROOT / there).is_file() else None
    return there


def _source(uri: str) -> str:
    return uri.removeprefix(BESIDE) if uri.startswith(BESIDE) else DOCS + uri


def _in_site(path: str) -> str:
    return path.removeprefix(DOCS) if path.startswith(DOCS) else BESIDE + path


def _leaves(nav: Any) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for one in nav:
                yield from _leaves(one)
        case dict():
            for one in nav.values():
                yield from _leaves(one)
        case _:
            pass

"""Pages that are written from the code say what the code says, and what pages name is there."""

import re
from pathlib import Path

import pytest

from docs.__main__ import pages
from docs.reference.commands import commands
from orchestrator.cli import main
from orchestrator.settings import SECTIONS
from worker_client.cli.run import run
from worker_client.contract.enums import Scope

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SECURITY = (DOCS / "security.md").read_text(encoding="utf-8")
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


def test_pages_that_are_written_from_the_code_are_those_of_the_code() -> None:
    written = dict(pages())
    there = {page: page.read_text(encoding="utf-8") for page in written if page.is_file()}
    assert [str(page) for page, text in written.items() if there.get(page) != text] == [], "run: python -m docs"
    assert set((DOCS / "reference").rglob("*.md")) - written.keys() == set(), "nothing writes these any more"


def test_every_scope_is_explained() -> None:
    assert re.findall(r"(?m)^\| `(\w+)` \| .+ \|$", SECURITY[SECURITY.index("| scope |") :])[: len(Scope)] == list(Scope)


def test_the_threats_name_tests_that_exist() -> None:
    table = SECURITY[SECURITY.index("## What is defended") : SECURITY.index("## What is not")]
    rows = re.findall(r"(?m)^\| (?!threat|---)(.+) \| (.+) \| (.+) \|$", table)
    assert len(rows) >= 15
    for threat, _, tests in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", tests)
        assert named, f"nothing tries: {threat}"
        assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", found.read_text(encoding="utf-8"))
            assert anchor in {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}, target


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    nav = set(re.findall(r"(?m)^ +- (?:[^:\n]+: )?([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - nav == set(), "name it in mkdocs.yml"


def test_settings_that_are_named_are_there() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for section, key in re.findall(r"`\[(\w+)\] (\w+)`", text):
            assert key in SECTIONS[section].__struct_fields__, f"{page.name}: [{section}] {key}"
        for name in re.findall(r"\bAPP_([A-Z]+_[A-Z_]*[A-Z])\b", text):
            section, _, key = name.lower().partition("_")
            known = section in SECTIONS and key in SECTIONS[section].__struct_fields__
            assert known or name.startswith(("SECRET_", "TEST_")), f"{page.name}: APP_{name}"


def test_variables_that_programs_read_are_explained() -> None:
    known = "".join((DOCS / f"reference/{name}.md").read_text(encoding="utf-8") for name in ("environment", "settings", "cli"))
    known += "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference/cli").glob("*.md"))
    called = [
        (*name.split()[1:], option[2:])
        for name, one in commands(main, "orchestrator")
        for param in one.params
        for option in param.opts
    ]
    options = {"_".join(("ORCHESTRATOR", *words)).upper().replace("-", "_") for words in called}
    options |= {"ORCHESTRATOR_" + option[2:].upper().replace("-", "_") for param in run.params for option in param.opts}
    for folder in ("orchestrator", "worker_client"):
        for file in (ROOT / folder).rglob("*.py"):
            for name in re.findall(r"\"((?:APP|ORCHESTRATOR)_[A-Z_]*[A-Z])\"", file.read_text(encoding="utf-8")):
                assert name in known or name in options, (
                    f"{file.relative_to(ROOT)}: {name} is not in docs/reference/environment.md"
                )

"""What a release has brought to databases stays as it is, and both kinds of store have come the same way."""

import os
import re
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from orchestrator import resources
from orchestrator.store.schema import NewerSchemaError, files, needed
from orchestrator.store.sqlite.migrate import migrate
from tests.rig import STORES
from tests.upgrading.releases import FILES, FOLDER, RELEASES

ROOT = Path(__file__).parents[2]


def pinned(store: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "migrations" / "released.toml").read_text())[store]
    return found


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


@pytest.mark.parametrize("store", STORES)
def test_what_is_released_never_changes(store: str) -> None:
    there = {file.stem: sha256(file.read_bytes()).hexdigest() for file in files(resources.migrations(store))}
    assert {name: pin["sha256"] for name, pin in pinned(store).items()} == {name: there[name] for name in pinned(store)}


@pytest.mark.parametrize("store", STORES)
def test_migrations_are_numbered_without_a_gap_and_come_in_the_order_of_releases(store: str) -> None:
    names = [file.stem for file in files(resources.migrations(store))]
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert list(pinned(store)) == names[: len(pinned(store))]
    since = [version(pin["release"]) for pin in pinned(store).values()]
    assert since == sorted(since)


def test_both_stores_have_the_same() -> None:
    one, other = ([file.stem for file in files(resources.migrations(store))] for store in STORES)
    assert one == other


def test_a_released_version_has_pinned_its_migrations() -> None:
    dated = set(re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))
    assert set(RELEASES) <= dated
    if orchestrator.__version__ in dated:
        for store in STORES:
            unpinned = {file.stem for file in files(resources.migrations(store))} - pinned(store).keys()
            assert unpinned == set(), f"add them to migrations/released.toml as of {orchestrator.__version__}"


def test_each_release_that_changed_the_schema_left_databases() -> None:
    changed = {pin["release"] for store in STORES for pin in pinned(store).values()}
    assert changed == set(RELEASES)
    kept = {(file.parent.name, file.name) for file in FOLDER.glob("*/*.xz")}
    assert kept == {(release, name) for release in RELEASES for name in FILES.values()}


def test_what_is_lacking_is_found_in_order_and_what_is_unknown_is_refused() -> None:
    known = [Path("0001_a.sql"), Path("0002_b.sql"), Path("0003_c.sql")]
    assert needed("x", known, [], None) == known
    assert needed("x", known, ["0002_b"], "1.0.0") == [known[0], known[2]]
    ours = re.escape(f"this is version {orchestrator.__version__}, which knows them up to 0003_c")
    with pytest.raises(
        NewerSchemaError, match=rf"x was .* by version 9\.0\.0 \(migration 0010_e\); {ours}: use version 9\.0\.0, or"
    ):
        needed("x", known, ["0001_a", "0009_d", "0010_e"], "9.0.0")
    with pytest.raises(NewerSchemaError, match=r"by a later version \(migration 0009_d\).*: use a later version, or"):
        needed("x", known, ["0009_d"], None)


def test_a_database_is_nobody_elses_to_read(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        migrate(tmp_path / "tasks.db")
        (tmp_path / "shared.db").touch(0o640)
        migrate(tmp_path / "shared.db")
    finally:
        os.umask(before)
    assert (tmp_path / "tasks.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "shared.db").stat().st_mode & 0o777 == 0o640, "who made it said so"

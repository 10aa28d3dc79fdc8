"""A database that a later version has changed is refused by all that would read or write it, and left as it is."""

from pathlib import Path

import pytest

from orchestrator import __version__
from orchestrator.settings import Database
from orchestrator.store import choice
from orchestrator.store.copying.opening import opened
from orchestrator.store.schema import NewerSchemaError
from orchestrator.store.sqlite import backup
from tests.copies import address, dump, full, meta, run, serve
from tests.rig import STORES

SAID = r"brought up to date by version 9\.8\.7 \(migration 9999_later\); this is version "


def from_the_future(kind: str, directory: Path) -> str:
    """A database with a migration that nobody knows yet."""
    url = full(kind, directory)
    row = {
        "sqlite": "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) SELECT 'orchestrator', '9999_later', '2'",
        "postgres": "INSERT INTO _migrations (name) VALUES ('9999_later')",
    }
    run(url, row[kind], "UPDATE meta SET value = '9.8.7' WHERE key = 'migrated_by'")
    return url


@pytest.mark.parametrize("kind", STORES)
def test_a_database_says_which_version_brought_it_up_to_date(kind: str, tmp_path: Path) -> None:
    assert meta(full(kind, tmp_path))["migrated_by"] == __version__


@pytest.mark.parametrize("kind", STORES)
def test_it_is_neither_served_nor_migrated(kind: str, tmp_path: Path) -> None:
    url = from_the_future(kind, tmp_path)
    before = dump(url), meta(url)
    with pytest.raises(NewerSchemaError, match=SAID + __version__):
        serve(kind, tmp_path)
    for does in (choice.migrate, choice.pending):
        with pytest.raises(NewerSchemaError, match=SAID):
            does(Database(url=url))
    assert (dump(url), meta(url)) == before


@pytest.mark.parametrize("kind", STORES)
def test_it_is_neither_copied_nor_copied_into(kind: str, tmp_path: Path) -> None:
    url, other = from_the_future(kind, tmp_path / "one"), address("sqlite", tmp_path / "two")
    for ends in ((url, other), (full("sqlite", tmp_path / "three"), url)):
        with pytest.raises(NewerSchemaError, match=SAID), opened(*ends):
            pass
    assert not (tmp_path / "two" / "queue.db").exists()


def test_it_is_not_backed_up(tmp_path: Path) -> None:
    from_the_future("sqlite", tmp_path)
    with pytest.raises(NewerSchemaError, match=SAID):
        backup.back_up(tmp_path / "queue.db", tmp_path / "backup.db", lambda: 1)
    assert not (tmp_path / "backup.db").exists()


@pytest.mark.parametrize("kind", STORES)
def test_what_is_to_be_done_can_be_asked(kind: str, tmp_path: Path) -> None:
    url = full(kind, tmp_path)
    assert choice.pending(Database(url=url)) == []
    table = {"sqlite": "_sqlite_migrations", "postgres": "_migrations"}[kind]
    run(url, f"DELETE FROM {table} WHERE name > '0009'")  # noqa: S608 - names are ours
    assert choice.pending(Database(url=url))[:2] == ["0009_dependents", "0010_usage_by_tag"]


def test_asking_makes_no_file(tmp_path: Path) -> None:
    assert choice.pending(Database(url=f"sqlite:///{tmp_path}/none.db"))[0] == "0001_queue"
    assert list(tmp_path.iterdir()) == []

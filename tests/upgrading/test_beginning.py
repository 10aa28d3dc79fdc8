"""What the conformance suite begins with after an upgrade is what a new database is: no row of before, and ids from 1."""

from pathlib import Path

import pytest

from orchestrator.settings import Database
from orchestrator.store import choice
from tests.copies import address, meta
from tests.rig import STORES, Rig
from tests.upgrading.beginning import clear_postgres, clear_sqlite
from tests.upgrading.comparing import Rows
from tests.upgrading.loading import load
from tests.upgrading.releases import RELEASES

pytestmark = pytest.mark.system
CLEAR = {"sqlite": clear_sqlite, "postgres": clear_postgres}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("release", RELEASES)
def test_it_is_as_a_new_one(release: str, store: str, tmp_path: Path) -> None:
    new, old = address(store, tmp_path / "new"), load(release, store, tmp_path / "old")
    (tmp_path / "new").mkdir()
    for url in (new, old):
        choice.migrate(Database(url=url))
    assert "tasks" in Rows(old).changed(new)
    CLEAR[store](old)
    assert Rows(new).changed(old) == []
    assert meta(old) == meta(new)
    rig = Rig(tmp_path / "old", store)
    assert rig.add() == 1
    assert rig.fetch("SELECT max(id) FROM events") == rig.fetch("SELECT count(*) FROM events")
    rig.close()

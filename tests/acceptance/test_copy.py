"""`orchestrator copy` as it is used: what it prints, how it ends, and a server on what it made."""

import json
import re
from pathlib import Path

import pytest

from orchestrator.cli.exits import Exit
from orchestrator.store.copying.copy import Copy
from orchestrator.store.copying.opening import opened
from orchestrator.store.copying.tables import KEYS
from tests.acceptance.programs import orchestrator, serving
from tests.copies import address, full, run


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.system)])
def test_a_move_as_the_guide_says(kind: str, tmp_path: Path) -> None:
    target = address(kind, tmp_path / "two")
    with serving(tmp_path) as server:
        for number in range(3):
            assert server.run("add", f"Task {number}").returncode == 0
        refused = orchestrator("copy", "--from", server.database, "--to", target, cwd=tmp_path)
        assert refused.returncode == Exit.CONFLICT
        assert "is used by another process" in refused.stderr
    ran = orchestrator("copy", "--from", server.database, "--to", target, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.search(r"^ *tasks +3 +[0-9a-f]{32} +yes *$", ran.stdout, flags=re.MULTILINE)
    assert re.search(r"\d+ rows of sqlite:///.* are in .*: serve that one now", ran.stdout)
    again = orchestrator("copy", "--from", server.database, "--to", target, cwd=tmp_path)
    assert again.returncode == Exit.CONFLICT
    assert "finished" in again.stderr


def test_programs_get_json(tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), f"sqlite:///{tmp_path}/two.db"
    run(source, "UPDATE tasks SET title = char(0) WHERE id = 1")
    variables = {"ORCHESTRATOR_COPY_FROM": source, "ORCHESTRATOR_COPY_TO": target}
    ran = orchestrator("copy", "--json", cwd=tmp_path, **variables)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["from"], said["to"], said["mended"]) == (source, target, 0)
    assert said["epoch"]
    assert [table["table"] for table in said["tables"]] == list(KEYS)
    assert said["rows"] == sum(table["rows"] for table in said["tables"])
    assert all(table["ok"] and table["checksum"] == table["checksum_there"] for table in said["tables"])
    refused = orchestrator("copy", "--json", cwd=tmp_path, **variables)
    assert refused.returncode == Exit.CONFLICT
    assert json.loads(refused.stderr)["error"]["code"] == "CONFLICT"


def test_changed_characters_are_told(tmp_path: Path) -> None:
    source = full("sqlite", tmp_path / "one")
    run(source, "UPDATE tasks SET title = char(0) WHERE id IN (1, 2)")
    ran = orchestrator("copy", "--from", source, "--to", address("postgres", tmp_path / "two"), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "2 rows had NUL characters, which PostgreSQL cannot store: they are U+FFFD there" in ran.stdout


def test_a_copy_that_differs_is_not_to_be_served(tmp_path: Path) -> None:
    source, target = full("sqlite", tmp_path / "one"), f"sqlite:///{tmp_path}/two.db"
    with opened(source, target) as ends:
        copy = Copy(*ends)
        copy.begin()
        copy.rows()
    run(target, "UPDATE tasks SET title = 'forged' WHERE id = 1")
    ran = orchestrator("copy", "--from", source, "--to", target, cwd=tmp_path)
    assert ran.returncode == Exit.FAILED
    assert "is not the same as" in ran.stderr
    assert "going on behind" in ran.stderr
    assert re.search(r"^ *tasks +\d+ +[0-9a-f]{32} +no: \d+ [0-9a-f]{32} *$", ran.stdout, flags=re.MULTILINE)
    refused = orchestrator("serve", "--port", "0", "--database", target, cwd=tmp_path)
    assert refused.returncode == Exit.CONFLICT
    assert "unfinished copy" in refused.stderr


def test_no_password_is_said(tmp_path: Path) -> None:
    ran = orchestrator("copy", "--from", "sqlite:///none.db", "--to", "postgresql://me:secret@127.0.0.1:1/x", cwd=tmp_path)
    assert ran.returncode == Exit.NOT_FOUND
    assert "cret" not in ran.stderr
    for address_of in ("postgresql://me:se%zzcret@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x?user=me&password=se%zzcret"):
        wrong = orchestrator("copy", "--from", address_of, "--to", "sqlite:///new.db", cwd=tmp_path)
        assert wrong.returncode == Exit.USAGE
        assert "% is written as %25" in wrong.stderr
        assert "cret" not in wrong.stderr
    usage = orchestrator("copy", "--from", "mysql://me:secret@there/x", "--to", "sqlite:///new.db", cwd=tmp_path)
    assert usage.returncode == Exit.USAGE
    assert "--from" in usage.stderr
    assert "cret" not in usage.stderr
    assert not (tmp_path / "new.db").exists()

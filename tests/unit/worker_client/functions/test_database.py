"""Database reads, and changes nothing unless that is allowed, however a statement is written."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests import postgres
from tests.unit.worker_client.functions.calling import Functions

pytestmark = pytest.mark.skipif(os.name == "nt", reason="directories as descriptors")
WRITES = [
    "INSERT INTO users VALUES (9, 'x')",
    "/* SELECT */ DELETE FROM users",
    "-- SELECT\nDELETE FROM users",
    "WITH gone AS (SELECT 1) DELETE FROM users",
    "WITH gone AS (SELECT 1) INSERT INTO users SELECT 9, 'x'",
    "UPDATE users SET name = 'x'",
    "DROP TABLE users",
    "CREATE TABLE other (a)",
    "CREATE TEMP TABLE other (a)",
    "SELECT 1; DELETE FROM users",
    "BEGIN IMMEDIATE",
    "ATTACH DATABASE '{other}' AS other",
    "VACUUM INTO '{other}'",
    "VACUUM",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA temp_store_directory = '/'",
    "SELECT load_extension('x')",
    "SELECT * FROM pragma_table_info('users')",
    "SELECT * FROM users; ATTACH DATABASE '{other}' AS other",
    "EXPLAIN DELETE FROM users",
]
"""The last one only says how it would be done."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as made, made:
        made.execute("CREATE TABLE users (id INTEGER, name)")
        made.executemany("INSERT INTO users VALUES (?, ?)", [(1, "a, b"), (2, "c\0d"), (3, None), (4, b"\x00\xff"), (5, 1.5)])
    return file


def of(database: Path, **settings: object) -> Functions:
    return Functions(database.parent, database={"url": f"sqlite:///{database}", **settings})


def content(database: Path) -> list[object]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute("SELECT * FROM users").fetchall()


def test_rows_come_as_json(database: Path) -> None:
    functions = of(database)
    found = functions.done("Database", "query", "SELECT COUNT(*) FROM users")
    assert found == {"columns": ["COUNT(*)"], "rows": [[5]], "cut": False}
    assert functions.done("Database", "query", "SELECT name FROM users")["rows"] == [
        ["a, b"],
        ["c\ufffdd"],
        [None],
        ["2 bytes"],
        [1.5],
    ]
    joined = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000) SELECT i FROM n"
    many = functions.done("Database", "query", joined)
    assert (len(many["rows"]), many["cut"]) == (1000, True)


@pytest.mark.parametrize("statement", WRITES)
def test_reading_changes_nothing(database: Path, tmp_path: Path, statement: str) -> None:
    before = content(database)
    other = tmp_path / "other.db"
    said = statement.format(other=other)
    if statement.startswith("EXPLAIN"):
        of(database).call("Database", "query", said)
    else:
        assert of(database).failed("Database", "query", said).type == "DatabaseError"
    assert "write = true" in of(database).failed("Database", "execute", said).message
    assert content(database) == before
    assert [path.name for path in tmp_path.iterdir()] == ["app.db"]


def test_writing_has_to_be_allowed(database: Path, tmp_path: Path) -> None:
    functions = of(database, write=True)
    assert functions.done("Database", "execute", "UPDATE users SET name = 'x' WHERE id < 3") == {"changed": 2}
    assert functions.failed("Database", "query", "DELETE FROM users").type == "DatabaseError"
    for statement in (
        "DROP TABLE users",
        "ATTACH DATABASE '{other}' AS o",
        "VACUUM INTO '{other}'",
        "PRAGMA query_only",
        "SELECT 1; SELECT 2",
    ):
        assert functions.failed("Database", "execute", statement.format(other=tmp_path / "other.db")).type == "DatabaseError"
    assert len(content(database)) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["app.db"]


def test_which_database_is_for_the_settings_to_say(database: Path, tmp_path: Path) -> None:
    assert '[functions.database] with url = "sqlite:' in Functions(tmp_path).failed("Database", "query", "SELECT 1").message
    (tmp_path / "link.db").symlink_to(database)
    assert of(tmp_path / "link.db").failed("Database", "query", "SELECT 1").type == "DatabaseError"
    assert of(tmp_path / "none.db").failed("Database", "query", "SELECT 1").type == "PathRefused"
    assert not (tmp_path / "none.db").exists()
    elsewhere = Functions(tmp_path / "sub", database={"url": f"sqlite://{database}"})
    assert elsewhere.failed("Database", "query", "SELECT 1").type == "PathRefused"
    assert of(database).failed("Database", "erase", "SELECT 1").type == "InvalidArgument"


def test_what_takes_too_much_is_refused(database: Path) -> None:
    functions = of(database)
    assert functions.failed("Database", "query", "SELECT zeroblob(1000000000)").type == "DatabaseError"
    assert functions.failed("Database", "query", "SELECT hex(zeroblob(9000000))").type == "DatabaseError"


def test_a_database_of_postgres(tmp_path: Path) -> None:
    url = postgres.database(tmp_path)
    functions = Functions(tmp_path, database={"url": url})
    assert functions.done("Database", "query", "SELECT 1 AS one, 0.1 + 0.2 AS sum, now()::date = current_date AS day") == {
        "columns": ["one", "sum", "day"],
        "rows": [[1, "0.3", True]],
        "cut": False,
    }
    for statement in (
        "CREATE TABLE other (a int)",
        "SELECT 1; CREATE TABLE other (a int)",
        "WITH made AS (SELECT 1) SELECT * INTO other FROM made",
        "SET default_transaction_read_only = off",
        "COMMIT; CREATE TABLE other (a int)",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT set_config('transaction_read_only', 'off', false), lo_create(7)",
    ):
        assert functions.failed("Database", "query", statement).type == "DatabaseError", statement
    writing = Functions(tmp_path, database={"url": url, "write": True})
    assert writing.done("Database", "execute", "CREATE TABLE mine (a int)") == {"changed": -1}
    assert writing.done("Database", "execute", "INSERT INTO mine VALUES (1), (2)") == {"changed": 2}
    assert writing.failed("Database", "execute", "DELETE FROM mine; DROP TABLE mine").type == "DatabaseError"
    assert functions.done("Database", "query", "SELECT count(*) FROM mine")["rows"] == [[2]]

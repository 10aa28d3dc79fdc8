"""Both stores find what a look at each task finds: at once, with the index behind, and while it is made."""

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.indexing import Index
from orchestrator.domain.moments import moment
from orchestrator.domain.outcomes import Done, Removed
from orchestrator.domain.principal import EVERYWHERE, PathScope, Pattern
from orchestrator.domain.task import Inputs, TaskView
from orchestrator.resources import migrations
from orchestrator.store.reads import searching
from orchestrator.store.reads.searching import BehindError
from orchestrator.store.sqlite.engine import sqlite3
from orchestrator.store.sqlite.migrate import migrate
from tests.reading import read
from tests.rig import START, Rig, interest, meddle
from tests.searching import has_words, index
from worker_client.contract.enums import Priority, Status
from worker_client.contract.tasks import ListTasks, TaskFilter

PATHS = ["/", "/a", "/a/b", "/a-b", "/srv/shop", "C:\\x", "/ä b"]
PIECES = [
    "fix", "Fixed", "fixing", "the", "login", "page", "LOGIN", "foo_bar.baz", "foo", "bar", "#12", "12", "123", "v2.1",
    "/srv/shop", "修复登录", "登录", "录", "登录页面bug", "修复", "データベース", "データ", "ｶﾅ", "ÄRGER", "ärger",
    "straße", "STRASSE", "ﬁx", "①", "\U0001f600", "\U0001f468\u200d\U0001f469", "é", "e\u0301", "한국어", "ไทยภาษา",
    "हिन्दी", "İx", '"', "'", "''", "\\", "*", "^", "(", ")", ":", "-", "+", "AND", "OR", "NOT", "NEAR", "NEAR(a b)",
    "&", "|", "!", "<->", ":*", "a:b", "{x}", "%", "_", "?", "?1", "$1", "\ue000", "\ue002", "\ufffd", "\u202e", "\n",
    "\t", "null", "true", "a" * 60, "a" * 41, "words", "words:fix", "x'y", "b\x7f", "“the", "page”",
]  # fmt: skip
RESULTS = [
    "null",
    '"Fixed the login"',
    '{"foo":"修复登录"}',
    '{"words":["a","\\"fix\\""]}',
    '["line\\nbreak","\\u767b\\u5f55"]',
    "12",
]


def sign(chance: random.Random) -> str:
    """Any sign there is, but those that no text may hold."""
    number = chance.choice((chance.randrange(1, 0x250), chance.randrange(1, 0x3100), chance.randrange(1, 0x110000)))
    return "" if 0xD800 <= number < 0xE000 else chr(number)


def some_text(chance: random.Random) -> str:
    return sign(chance) + "".join(
        chance.choice(PIECES) + chance.choice((" ", " ", "", ". ", "\n")) for _ in range(chance.choice((0, 1, 2, 4, 8)))
    )


def asked(chance: random.Random) -> str:
    text = "".join(chance.choice(PIECES) + chance.choice((" ", " ", "")) for _ in range(chance.choice((1, 1, 1, 2, 3))))
    if chance.random() < 0.1:
        text = chance.choice((sign(chance), "\0")) + text
    if chance.random() < 0.2:
        text = f'"{text}"'
    # Parts of what there is: beginnings, middles, ends.
    return text[chance.choice((0, 0, 0, 1)) : len(text) - chance.choice((0, 0, 0, 1, 2))] or text


def change(rig: Rig, chance: random.Random, ids: list[int]) -> None:
    """Something that changes what there is to be found."""
    match chance.randrange(6) if ids else 0:
        case 0 | 1 | 2:
            given = Inputs(prompt=some_text(chance), description=chance.choice((None, some_text(chance))))
            tags = tuple({chance.choice(("登录", "fix", 'say "hi"', "x"))} if chance.random() < 0.3 else ())
            title = chance.choice((None, some_text(chance)[:500]))
            ids.append(rig.add(chance.choice(PATHS), inputs=given, title=title, tags=tags, delay_ms=chance.choice((None, 10**9))))
        case 3:
            inputs: dict[str, str | None] = {"prompt": some_text(chance)}
            changed = ops.Update(task_id=chance.choice(ids), title=some_text(chance), path=chance.choice(PATHS), inputs=inputs)
            rig.outcomes(changed)
        case 4:
            for grant in rig.claim(*PATHS, limit=2):
                error = f'{{"type":"Login","message":"{chance.choice(("fix 修复", "the page"))}"}}'
                ends: list[ops.Operation] = [
                    ops.Complete(task_id=grant.task_id, lease=grant.lease, result=chance.choice(RESULTS)),
                    ops.Fail(task_id=grant.task_id, lease=grant.lease, error=error, retryable=chance.random() < 0.5),
                ]
                rig.do(chance.choice(ends))
        case _:
            gone = chance.choice(ids)
            if not isinstance(rig.outcomes(ops.Delete(task_id=gone))[0], Exception):
                ids.remove(gone)


def every(rig: Rig) -> list[TaskView]:
    return read(rig, rig.store.reads.tasks(ListTasks(limit=1000), EVERYWHERE)).items


def found(rig: Rig, q: str, visible: PathScope = EVERYWHERE, **facts: Any) -> list[int]:
    query = ListTasks(q=q, limit=1000, **facts)
    listing = read(rig, rig.store.reads.tasks(query, visible))
    assert listing.total == len(listing.items)
    assert listing.total_exact
    assert listing.unread == 0
    return [view.head.id for view in listing.items]


def test_random_texts(rig: Rig) -> None:
    assert random_texts(rig, 2, rounds=6, questions=20) > 40


@pytest.mark.system
@pytest.mark.parametrize("seed", range(10, 13))
def test_many_random_texts(rig: Rig, seed: int) -> None:
    assert random_texts(rig, seed, rounds=10, questions=40) > 100


def random_texts(rig: Rig, seed: int, *, rounds: int, questions: int) -> int:
    """How many tasks were found, of those that had to be."""
    chance = random.Random(seed)
    ids: list[int] = []
    hits = 0
    for _ in range(rounds):
        for _ in range(15):
            change(rig, chance, ids)
        # Anything from nothing to all of it.
        index(rig, chance.choice((0, 1, 10_000)))
        views = every(rig)
        for _ in range(questions):
            q = asked(chance)
            expected = [view.head.id for view in views if has_words(view, q)]
            assert found(rig, q) == expected, q
            hits += len(expected)
            pattern = Pattern(chance.choice(PATHS), chance.random() < 0.5)
            scope = PathScope((pattern,))
            inside = [view.head.id for view in views if has_words(view, q) and scope.covers(view.head.path)]
            assert found(rig, q, scope) == inside
            assert found(rig, q, work_path=[pattern.path], recursive=pattern.below) == inside
            waiting = [view.head.id for view in views if has_words(view, q) and view.head.status is Status.WAITING]
            assert found(rig, q, status=[Status.WAITING]) == waiting
            bulk = read(rig, rig.store.reads.task_ids(TaskFilter(q=q), EVERYWHERE, statuses=list(Status), after=0, limit=1000))
            assert bulk == sorted(expected)
    return hits


def test_at_once_and_gone_at_once(rig: Rig) -> None:
    first = rig.add(title="Repair the login")
    assert found(rig, "login") == [first]
    index(rig)
    assert found(rig, "login") == [first]
    second = rig.add(title="登录页面")
    rig.do(ops.Update(task_id=first, title="Repair the logout"))
    assert found(rig, "login") == []
    assert found(rig, "登录") == [second]
    assert found(rig, "logo") == [first]
    rig.do(ops.Delete(task_id=second))
    assert found(rig, "登录") == []
    index(rig)
    assert found(rig, "logout") == [first]
    assert rig.fetch("SELECT count(*) FROM task_words") == [(1,)]


def test_a_task_that_is_pruned_is_not_in_the_index(rig: Rig) -> None:
    grant = rig.running(title="soon gone")
    rig.do(ops.Complete(task_id=grant.task_id, lease=grant.lease))
    index(rig)
    rig.pass_(10_000)
    commit = rig.commit(ops.Prune(before=rig.time.at - 5_000, keys_before=0))
    assert any(isinstance(change, Removed) for decision in commit.decisions for change in decision.changes)
    assert found(rig, "soon") == []
    assert rig.fetch("SELECT count(*) FROM task_words") == [(0,)]


def test_no_event_is_forgotten_before_it_is_read(rig: Rig) -> None:
    task_id = rig.add(title="long ago")
    rig.pass_(100_000)
    prune = ops.Prune(before=rig.time.at, keys_before=0)
    rig.do(prune)
    assert len(rig.fetch("SELECT id FROM events")) == 1
    index(rig)
    rig.do(prune)
    assert rig.fetch("SELECT id FROM events") == []
    assert found(rig, "ago") == [task_id]


def test_tasks_from_before_are_put_in_bit_by_bit(rig: Rig) -> None:
    ids = [rig.add(title="old", prompt="x " * 4_000) for _ in range(60)]
    rig.commit(*(ops.Cancel(task_id=task_id) for task_id in ids[:3]))
    forget(rig)
    listing = read(rig, rig.store.reads.tasks(ListTasks(q="old"), EVERYWHERE))
    assert (listing.total, listing.unread) == (0, ids[-1])
    new = rig.add(title="not old")
    assert [view.head.id for view in read(rig, rig.store.reads.tasks(ListTasks(q="old"), EVERYWHERE)).items] == [new]
    with pytest.raises(BehindError, match="not in it yet"):
        read(rig, rig.store.reads.task_ids(TaskFilter(q="old"), EVERYWHERE, statuses=list(Status), after=0, limit=10))
    index(rig, 2)
    listing = read(rig, rig.store.reads.tasks(ListTasks(q="old"), EVERYWHERE))
    assert ids[0] < listing.unread < ids[-1]
    assert [view.head.id for view in listing.items] == [new, *reversed(ids)][: len(listing.items)]
    assert index(rig) > 1
    assert found(rig, "old") == [new, *reversed(ids)]


def forget(rig: Rig) -> None:
    """As a database is that had no index of words."""
    rig._runner.run(meddle(rig.store, "DELETE FROM task_words"))
    facts = "last_event = (SELECT max(id) FROM events), unread = (SELECT max(id) FROM tasks), version = version + 1"
    rig._runner.run(meddle(rig.store, f"UPDATE task_index SET {facts}"))  # noqa: S608 - names are ours


def test_words_that_were_read_before_another_server_put_them_in_are_not_put_in(rig: Rig) -> None:
    task_id = rig.add(title="new")
    index(rig)
    old = Index(version=1, last_event=1, unread=0, words=((task_id, "old"),))
    assert rig.do(old) == Done(0)
    assert found(rig, "new") == [task_id]


def test_too_much_has_happened(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_UNREAD_TASKS", 3)
    for _ in range(4):
        rig.add(title="one more")
    with pytest.raises(BehindError, match="try again"):
        found(rig, "more")
    index(rig)
    assert len(found(rig, "more")) == 4


@pytest.fixture
def many(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A word that is in more tasks than are looked at together; with the bounds small, so that few tasks do."""
    for name, value in {"COUNTED": 20, "_NEWEST": 10, "_DENSE": 3, "_FEW": 10, "_CHUNKS": 10}.items():
        monkeypatch.setattr(searching, name, value)
    ids = [rig.add("/b" if n % 40 == 0 else "/a", title="common rare" if n % 40 == 0 else "common") for n in range(100)]
    index(rig)
    return ids


def test_a_common_word_is_answered_newest_first(rig: Rig, many: list[int]) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        listing = read(rig, rig.store.reads.tasks(ListTasks(q="common", limit=7, cursor=cursor), EVERYWHERE))
        seen += [view.head.id for view in listing.items]
        cursor = listing.next_cursor
        if cursor is None:
            break
    assert seen == many[::-1]
    page = read(rig, rig.store.reads.tasks(ListTasks(q="common", limit=3, offset=50), EVERYWHERE))
    assert [view.head.id for view in page.items] == many[::-1][50:53]
    bulk = read(rig, rig.store.reads.task_ids(TaskFilter(q="common"), EVERYWHERE, statuses=list(Status), after=many[4], limit=70))
    assert bulk == many[5:75]


def test_a_common_word_in_a_rare_place(rig: Rig, many: list[int]) -> None:
    rare = [many[80], many[40], many[0]]
    for facts in ({"work_path": ["/b"]}, {"work_path": ["/b"], "recursive": True}):
        listing = read(rig, rig.store.reads.tasks(ListTasks(q="common", **facts), EVERYWHERE))
        assert [view.head.id for view in listing.items] == rare
    listing = read(rig, rig.store.reads.tasks(ListTasks(q="common"), PathScope((Pattern("/b", below=True),))))
    assert [view.head.id for view in listing.items] == rare
    assert found(rig, "rare") == rare


def test_a_common_word_in_a_rare_status(rig: Rig, many: list[int]) -> None:
    rig.commit(*(ops.Cancel(task_id=task_id) for task_id in many[::-1][:60]))
    (grant,) = rig.do(ops.Claim(interest=interest("/b"), worker_id="w", lease_ms=10_000)).grants  # type: ignore[attr-defined]
    listing = read(rig, rig.store.reads.tasks(ListTasks(q="common", status=[Status.RUNNING]), EVERYWHERE))
    assert [view.head.id for view in listing.items] == [grant.task_id]


def test_a_backup_and_what_comes_after_it(tmp_path: Path) -> None:
    with closing(Rig(tmp_path / "one")) as rig:
        rig.add(title="before the backup")
        index(rig)
        rig.add(title="not read yet")
    with closing(Rig(tmp_path / "one")) as rig:
        assert len(found(rig, "backup")) == 1
        assert len(found(rig, "yet")) == 1


def test_an_upgraded_database(tmp_path: Path) -> None:
    """The migration alone tells which tasks are from before."""
    older = tmp_path / "older"
    older.mkdir()
    for file in sorted(migrations("sqlite").glob("[0-9]*.sql")):
        if file.stem < "0008":
            (older / file.name).write_text(file.read_text())
    path = tmp_path / "queue.db"
    migrate(path, older)
    with closing(sqlite3.connect(path)) as database:
        columns = (
            "host, path, kind, priority, tags, exclusive, max_attempts, timeout_ms, has_parents, created_at, source, version,"
            " status, rank, ready_at, attempt, releases, lease_no, lease_mode, lease_ms, used, delivery_no, updated_at"
        )
        for _ in range(2):
            database.execute(
                f"INSERT INTO tasks ({columns}) VALUES"  # noqa: S608 - names are ours
                " ('', '/a', 'agent', 1, '[]', 0, 1, 1, 0, 1, 'api', 1, 'waiting', 1, 1, 0, 0, 0, 0, 0, 0, 0, 1)"
            )
        database.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT last_event, unread FROM task_index").fetchone() == (0, 2)


EACH: dict[str, Any] = {
    "status": [Status.WAITING],
    "priority": [Priority.NORMAL],
    "kind": ["agent"],
    "tag": ["登录"],
    "work_path": ["/a"],
    "recursive": True,
    "agent": "claude",
    "worker_id": "w",
    "schedule_id": 1,
    "workflow_id": "w",
    "run_id": 1,
    "q": "fix",
    "created_after": moment(START - 1),
    "created_before": moment(START + 10**9),
    "waits_for": 1,
    "needs_person": True,
}


def test_words_go_together_with_each_filter(rig: Rig) -> None:
    assert EACH.keys() == set(TaskFilter.__struct_fields__)
    parent = rig.add()
    facts: dict[str, Any] = {"tags": ("登录",), "schedule_id": 1, "workflow_id": "w", "run_id": 1, "agent": "claude"}
    for n in range(3):
        rig.add(title="fix" if n else "other", depends_on=(parent,) if n == 1 else (), requires_approval=n == 2, **facts)
    index(rig)
    for name, value in EACH.items():
        plain = read(rig, rig.store.reads.tasks(ListTasks(**{name: value}), EVERYWHERE)).items
        expected = [view.head.id for view in plain if has_words(view, "fix")]
        assert found(rig, **{"q": "fix", name: value}) == expected, name
        bulk = TaskFilter(**{"q": "fix", name: value})
        assert read(rig, rig.store.reads.task_ids(bulk, EVERYWHERE, statuses=list(Status), after=0, limit=9)) == expected[::-1]


SIGNS = list(map(chr, range(0x4E00, 0x4E00 + 500)))


@pytest.mark.parametrize(
    "q",
    ["".join(SIGNS), " ".join(SIGNS[:250]), " ".join(f"{n:x}g" for n in range(160))[:500], '"' * 500, ".".join(SIGNS[:250])],
    ids=["one phrase", "many phrases", "many words", "quotes", "a phrase of parts"],
)
def test_the_longest_question(rig: Rig, q: str) -> None:
    task_id = rig.add(prompt=q)
    rig.add(prompt=q[:100])
    index(rig)
    expected = [view.head.id for view in every(rig) if has_words(view, q)]
    assert found(rig, q) == expected
    assert (task_id in expected) == bool(q.strip('"'))


def test_long_texts(rig: Rig) -> None:
    """As much as counts, of each kind, and beyond it."""
    prompts = ["页面" * 10_000, "ab " * 10_000, " ".join(map(str, range(5_000))), "x" * 20_000, f"{'y ' * 4_998}end beyond"]
    ids = [rig.add(prompt=prompt) for prompt in prompts]
    for _ in range(2):
        assert found(rig, "页面页面") == [ids[0]]
        assert found(rig, "ab") == [ids[1]]
        assert found(rig, "1234") == [ids[2]]
        assert found(rig, "x" * 300) == [ids[3]]
        assert found(rig, "end") == [ids[4]]
        assert found(rig, "beyond") == []
        index(rig)

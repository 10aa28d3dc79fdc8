"""The live view: what keys and news make of it, and that the screen is as large as the terminal, whatever comes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from rich.text import Text

from orchestrator.cli.watching.acting import Acting
from orchestrator.cli.watching.drawing import HELP, LATEST, frame, shares
from orchestrator.cli.watching.keys import Keys
from orchestrator.cli.watching.model import FAILED, MINUTES, NEEDS, RUNNING, WAITING, Detail, Row, State, counted
from orchestrator.cli.watching.words import flat, plain
from worker_client.client import AsyncClient
from worker_client.contract.tasks import Task

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b]0;gone\x07red\x1b[31m \u202egnp.exe\u2066 a\nb\tc\r\x9b5m \u200bnothing 中文字 🚀" + "x" * 500
BASE: dict[str, Any] = {
    "version": 1, "host": "", "kind": "agent", "tags": [], "environment": {}, "resource_limits": {}, "metadata": {},
    "exclusive": False, "requires_approval": False, "depends_on": [], "max_attempts": 4, "timeout_seconds": 60, "attempt": 1,
    "lease_no": 1, "created_at": NOW - timedelta(hours=2), "updated_at": NOW, "source": "api", "prompt": "Do it",
    "priority": "normal", **dict.fromkeys((
        "description", "spec", "key", "backoff", "lease_expires_at", "run_at", "due_at", "ready_at", "finished_at", "reason",
        "cancel_requested_at", "answer", "checkpoint", "session_id", "result", "error", "schedule_id", "workflow_id", "run_id",
        "step_id", "title", "worker_id", "parked", "progress", "usage", "started_at",
    )),
}  # fmt: skip


def task(number: int, status: str = "running", **facts: Any) -> Task:
    return msgspec.convert({**BASE, "id": number, "status": status, "work_directory": f"/repo/{number}", **facts}, Task)


def parked(number: int, reason: str, **facts: Any) -> Task:
    return task(number, "parked", parked={"reason": reason, **facts})


def state() -> State:
    made = State("http://127.0.0.1:8080")
    made.rows = {
        NEEDS: [Row(parked(1, "question", question="Which?", options=["this", "that"])), Row(parked(2, "approval"))],
        RUNNING: [Row(task(number, title=f"Task {number}", worker_id="w"), note="a line") for number in range(10, 20)],
        WAITING: [Row(task(30, "waiting"), note="held by task 10", count=3)],
        FAILED: [Row(task(40, "failed"), note="it broke")],
    }
    made.events.extend(Text(f"event {number}") for number in range(9))
    made.settle()
    return made


class Hand:
    """Presses keys, and keeps what they begin."""

    def __init__(self, made: State) -> None:
        self.state = made
        self.begun: list[str] = []
        self.ended = False
        self.acting = Acting(AsyncClient("http://127.0.0.1:1"), made, None, self._begin, self._end)  # type: ignore[arg-type]

    def _begin(self, work: Any) -> None:
        call = work.cr_frame.f_locals.get("call")
        body = "" if call is None else msgspec.json.encode(call.body).decode()
        self.begun.append(work.__name__ if call is None else f"{call.method} {call.path} {body}")
        work.close()

    def _end(self) -> None:
        self.ended = True

    def press(self, *keys: str) -> "Hand":
        for key in keys:
            self.acting.press(key)
        return self


def drawn(made: State, width: int = 120, height: int = 40, silence: float | None = None) -> str:
    return "\n".join(line.plain for line in frame(made, width, height, NOW, silence))


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"jk", ["j", "k"]), (b"\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]), (b"\x1b", ["escape"]),
        (b"\x1bq", ["escape", "q"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~", ["page up", "page down", "home", "end"]),
        (b"\r\x7f\x15", ["enter", "backspace", "clear"]),
        ("中🚀".encode(), ["中", "🚀"]), (b"\x1b[200~x\x1b[<0;1;1M\x01\x02", ["x"]), (b"\xff", ["\ufffd"]),
    ],
)  # fmt: skip
def test_bytes_are_keys(sent: bytes, keys: list[str]) -> None:
    assert Keys().feed(sent) == keys


def test_a_character_may_come_in_pieces() -> None:
    keys = Keys()
    assert [key for byte in "中".encode() for key in keys.feed(bytes([byte]))] == ["中"]


def test_texts_of_strangers_are_one_line_that_does_nothing() -> None:
    shown = plain(HOSTILE)
    assert shown.isprintable()
    assert shown.startswith("red \ufffdgnp.exe\ufffd a b c")
    assert "中文字 🚀" in shown
    assert flat(Text("a\nb\x1bc", style="red")).plain == "a b\ufffdc"


@pytest.mark.parametrize("height", [1, 3, 8, 24, 60])
@pytest.mark.parametrize("width", [1, 12, 40, 80, 120, 250])
def test_the_screen_is_as_large_as_the_terminal(width: int, height: int) -> None:
    made = state()
    odd: dict[str, Any] = {
        "title": HOSTILE,
        "worker_id": "w\x1b[2J",
        "progress": {"percent": 50, "message": HOSTILE},
        "usage": {"cost_usd": 1.5},
    }
    made.rows[RUNNING].append(Row(task(99, started_at=NOW, **odd), HOSTILE))
    made.rows[NEEDS].append(Row(parked(3, "question", question=HOSTILE, options=[HOSTILE] * 3), HOSTILE))
    made.events.append(Text(HOSTILE))
    views = [made, msgspec.structs.replace(made, help=True)]
    views.append(msgspec.structs.replace(made, detail=Detail(task(99, **odd), HOSTILE, [HOSTILE] * 300)))
    views.append(msgspec.structs.replace(made, message=HOSTILE, words="red"))
    for view in views:
        lines = frame(view, width, height, NOW, None)
        assert len(lines) == height
        assert all(line.cell_len <= width for line in lines)
        assert all(line.plain.isprintable() for line in lines)


def test_sections_share_the_lines() -> None:
    wanted = {NEEDS: 9, RUNNING: 30, WAITING: 9, FAILED: 9, LATEST: 50}
    assert sum(shares(wanted, 40).values()) + 5 == 40
    assert min(shares(wanted, 40).values()) >= 5
    assert shares(wanted, 5) == {NEEDS: 1, RUNNING: 2, WAITING: 0, FAILED: 0, LATEST: 0}
    assert shares({**wanted, NEEDS: 0, WAITING: 1}, 100) == {NEEDS: 0, RUNNING: 30, WAITING: 1, FAILED: 9, LATEST: 50}


def test_what_is_chosen_is_seen_and_stays_chosen() -> None:
    made = state()
    hand = Hand(made).press(*["j"] * 11)
    assert made.chosen == (RUNNING, 19), "the last"
    assert "▸      19" in drawn(made, height=16)
    made.rows[FAILED].insert(0, made.rows[RUNNING].pop())
    made.settle()
    assert made.chosen == (FAILED, 19), "it is followed where it goes"
    hand.press("G")
    assert made.chosen == (FAILED, 40)
    hand.press("home", "up")
    assert made.chosen == (NEEDS, 1)


def test_where_nothing_is_nothing_is_chosen() -> None:
    hand = Hand(State("http://127.0.0.1:8080")).press("j", "a", "c", "enter", "G")
    assert hand.state.chosen is None
    assert hand.begun == []


def test_questions_are_answered_in_words_or_by_number() -> None:
    hand = Hand(state()).press("a")
    assert "1) this 2) that" in drawn(hand.state)
    hand.press("2", "enter", "a", *"neithet", "backspace", "r", "enter", "a", "escape", "a", "x", "clear", "enter")
    assert hand.begun == [
        'POST /api/v1/tasks/1/answer {"answer":"that"}',
        'POST /api/v1/tasks/1/answer {"answer":"neither"}',
    ]


def test_what_changes_much_is_asked_again() -> None:
    hand = Hand(state()).press("j", "a", "n", "a", "y", "c", "q", "c", "y")
    assert [call.split()[1] for call in hand.begun] == ["/api/v1/tasks/2/approve", "/api/v1/tasks/2/cancel"]
    assert not hand.ended, "the q was the answer"


def test_only_what_has_ended_is_retried() -> None:
    hand = Hand(state()).press("j", "j", "r")
    assert "only tasks that have ended" in hand.state.message
    hand.press("a")
    assert "waits for nobody" in hand.state.message
    hand.press("G", "c")
    assert "has ended" in hand.state.message
    hand.press("r")
    assert [call.split()[1] for call in hand.begun] == ["/api/v1/tasks/40/retry"]


def test_words_filter_all_sections() -> None:
    hand = Hand(state()).press("/", *"HELD by")
    assert "held by task 10" in drawn(hand.state)
    assert "Task 11" not in drawn(hand.state)
    assert hand.state.chosen == (WAITING, 30)
    hand.press("enter")
    assert "filter: HELD by" in drawn(hand.state)
    hand.press("escape")
    assert "Task 11" in drawn(hand.state)


def test_help_details_and_the_end() -> None:
    hand = Hand(state()).press("?")
    assert HELP[1] in drawn(hand.state)
    hand.press("x")
    assert not hand.state.help
    hand.press("enter")
    assert hand.begun == ["_open"]
    hand.state.detail = Detail(task(10, title="Roof"), lines=[f"line {number}" for number in range(100)])
    assert "line 99" in drawn(hand.state)
    hand.press("k", "k")
    assert "line 97" in drawn(hand.state)
    assert "line 98" not in drawn(hand.state)
    hand.press("home", "home")
    assert "line 0\n" in drawn(hand.state)
    hand.press("escape", "q")
    assert hand.ended
    assert "line 0" not in drawn(hand.state)


def test_lines_of_output_come_at_once() -> None:
    made = state()
    made.said(12, "\x1b[32mdone\x1b[0m at last")
    assert "done at last" in drawn(made, width=150)


def test_a_silent_server_is_told() -> None:
    assert "no answer from http://127.0.0.1:8080 for 12s" in drawn(state(), silence=12.4)


def test_completed_tasks_are_counted_by_the_minute() -> None:
    times = [NOW, NOW - timedelta(seconds=59), NOW - timedelta(seconds=61), NOW - timedelta(hours=1), NOW + timedelta(minutes=2)]
    counts = counted(times, NOW)
    assert (counts[-1], counts[-2], sum(counts), len(counts)) == (2, 1, 3, MINUTES)

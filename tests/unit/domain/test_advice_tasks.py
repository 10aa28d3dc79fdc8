"""Why a task failed: each reason from what must and what must not be taken for it."""

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.domain.advice.catalogue import CATALOGUE, OF_A_TASK
from orchestrator.domain.advice.facts import Line, TaskFacts, Try
from orchestrator.domain.advice.tasks import of_task
from orchestrator.domain.advice.words import needs
from worker_client.contract.advice import Advice, Confidence
from worker_client.contract.enums import AttemptOutcome, Status
from worker_client.contract.reports import TaskError

NOW = 1_800_000_000_000
HOUR = 3_600_000
BAD = "the command ended with exit code 1"


def ran(task_id: int = 1, *, failed: bool = True, took: float = 1, **facts: Any) -> Try:
    outcome = AttemptOutcome.FAILED if failed else AttemptOutcome.COMPLETED
    said = {"type": "ExitCode", "message": BAD} if failed else {}
    whole = {"path": "/a", "kind": "script", "attempt": 1, "worker_id": "w1", "outcome": outcome, **said, **facts}
    return Try(task_id=task_id, started_at=NOW - round(took * 1000), ended_at=whole.pop("ended_at", NOW), **whole)


def failed(*lines: str, error: TaskError | None = None, tries: list[Try] | None = None, **facts: Any) -> TaskFacts:
    error = error or TaskError(type="ExitCode", message=BAD, details={"exit_code": 1})
    return TaskFacts(
        id=1,
        status=Status.FAILED,
        path="/a",
        kind=facts.pop("kind", "script"),
        error=error,
        tries=[ran(type=error.type, message=error.message)] if tries is None else tries,
        lines=[Line(text, number + 1) for number, text in enumerate(lines)],
        **facts,
    )


def found(facts: TaskFacts) -> dict[str, Advice]:
    return {one.code: one for one in of_task(facts).items}


SAYS = [
    ("command_not_found", "sh: 1: pnpm: not found", {"command": "pnpm"}),
    ("command_not_found", "zsh: command not found: uv", {"command": "uv"}),
    ("permission_denied", "bash: ./deploy.sh: Permission denied", {"what": "./deploy.sh"}),
    ("permission_denied", "PermissionError: [Errno 13] Permission denied: '/etc/shadow'", {"what": "/etc/shadow"}),
    ("no_such_file", "cat: /data/in.csv: No such file or directory", {"path": "/data/in.csv"}),
    ("no_such_file", "FileNotFoundError: [Errno 2] No such file or directory: 'in.csv'", {"path": "in.csv"}),
    ("no_such_file", "Error: ENOENT: no such file or directory, open '/x/package.json'", {"path": "/x/package.json"}),
    ("disk_full", "OSError: [Errno 28] No space left on device", {}),
    ("read_only", "touch: cannot touch 'x': Read-only file system", {}),
    ("too_many_files", "OSError: [Errno 24] Too many open files", {}),
    ("out_of_memory", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", {}),
    ("connection_refused", "Error: connect ECONNREFUSED 127.0.0.1:5432", {"address": "127.0.0.1:5432"}),
    ("connection_refused", "curl: (7) Failed to connect to localhost port 9 after 0 ms: Connection refused",
     {"address": "localhost port 9"}),
    ("name_not_resolved", "curl: (6) Could not resolve host: db.internal", {"name": "db.internal"}),
    ("network_timeout", "Error: connect ETIMEDOUT 10.0.0.9:443", {}),
    ("tls_failed", "SSLError: certificate verify failed: certificate has expired", {}),
    ("http_unauthorized", "npm error 401 Unauthorized - GET /left-pad", {}),
    ("http_forbidden", "error: status code 403", {}),
    ("http_rate_limited", "HTTP 429: slow down", {}),
    ("http_server_error", "fatal: 502 Bad Gateway", {"status": "502"}),
    ("git_conflict", "CONFLICT (content): Merge conflict in src/app.py", {}),
    ("git_dirty", "error: Your local changes to the following files would be overwritten by merge:", {}),
    ("git_auth", "fatal: could not read Username for 'https://git.example': terminal prompts disabled", {}),
    ("git_locked", "fatal: Unable to create '/a/.git/index.lock': File exists.", {}),
    ("git_rejected", " ! [rejected]        main -> main (non-fast-forward)", {}),
    ("port_in_use", "Error: listen EADDRINUSE: address already in use :::3000", {"port": "3000"}),
    ("module_missing", "ModuleNotFoundError: No module named 'yaml'", {"module": "yaml"}),
    ("module_missing", "Error: Cannot find module 'express'", {"module": "express"}),
    ("tests_failed", "FAILED tests/test_a.py::test_b[x-1] - assert 1 == 2", {"tests": ["tests/test_a.py::test_b[x-1]"],
     "count": 1}),
    ("tests_failed", "--- FAIL: TestMain (0.00s)", {"tests": ["TestMain"], "count": 1}),
    ("tests_failed", "===== 2 failed, 10 passed in 3.21s =====", {"tests": None, "count": 0}),
    ("agent_auth", "Invalid API key · Please run /login", {}),
    ("agent_quota", "You have hit your usage limit reached for today", {}),
    ("context_too_long", "API Error: prompt is too long: 210000 tokens > 200000 maximum", {}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "line", "facts"), SAYS, ids=[line[:40] for _, line, _ in SAYS])
def test_what_programs_say(code: str, line: str, facts: dict[str, Any]) -> None:
    told = found(failed("$ make", line, "make: *** [all] Error 1"))
    assert told[code].facts == facts
    assert told[code].evidence[0].line == 2
    assert told[code].confidence is Confidence.LIKELY
    assert all(str(value) in told[code].message for value in facts.values() if isinstance(value, str))


@pytest.mark.parametrize(
    "line",
    [
        "all is well", "10 passed, 0 failed", "no tests failed to load", "0 failures", "the connection was made", "status 200",
        "port 3000 is free", "memory: 20 MB", "importing modules", "wrote 429 files", "line 401 of the file",
         "merged without conflicts",
    ],
)  # fmt: skip
def test_what_says_nothing_is_not_taken_for_a_reason(line: str) -> None:
    assert set(found(failed(line))) == {"exit_code"}


ENDS: list[tuple[str, TaskError]] = [
    ("command_not_found", TaskError(type="ExitCode", details={"exit_code": 127})),
    ("not_executable", TaskError(type="ExitCode", details={"exit_code": 126})),
    ("killed", TaskError(type="ExitCode", details={"exit_code": None, "signal": "SIGKILL"})),
    ("killed", TaskError(type="ExitCode", details={"exit_code": 137})),
    ("crashed", TaskError(type="ExitCode", details={"signal": "SIGSEGV"})),
    ("memory_limit", TaskError(type="MemoryLimit", details={"signal": "SIGKILL"})),
    ("verify_failed", TaskError(type="VerifyFailed", details={"exit_code": 1})),
    ("agent_silent", TaskError(type="Stalled")),
    ("agent_unclear", TaskError(type="NoEvidence")),
    ("invalid_spec", TaskError(type="InvalidSpec")),
    ("result_refused", TaskError(type="ResultNotJson")),
    ("http_unauthorized", TaskError(type="HttpStatus", details={"status": 401})),
    ("http_forbidden", TaskError(type="HttpStatus", details={"status": 403})),
    ("http_not_found", TaskError(type="HttpStatus", details={"status": 404})),
    ("http_rate_limited", TaskError(type="HttpStatus", details={"status": 429})),
    ("http_server_error", TaskError(type="HttpStatus", details={"status": 503})),
    ("http_status", TaskError(type="HttpStatus", details={"status": 302})),
    ("timed_out", TaskError(type="Timeout")),
    ("lease_lost", TaskError(type="LeaseExpired")),
    ("exit_code", TaskError(type="ExitCode", details={"exit_code": 3})),
    ("unexplained", TaskError(type="Error", message="odd")),
    ("unexplained", TaskError(type="Error", details={"exit_code": "x", "signal": 9, "status": "y", "output_tail": [1]})),
]


@pytest.mark.parametrize(("code", "error"), ENDS, ids=range(len(ENDS)))
def test_how_it_ended(code: str, error: TaskError) -> None:
    told = found(failed(error=error))
    assert list(told) == [code]
    assert told[code].evidence
    assert found(failed(error=error, tries=[ran(failed=False)])) == {}


def test_a_name_says_more_than_an_exit_code() -> None:
    error = TaskError(type="ExitCode", details={"exit_code": 127, "output_tail": "sh: 1: foo: not found"})
    told = found(failed("$ foo", "sh: 1: foo: not found", error=error))["command_not_found"]
    assert (told.message, told.evidence[0].line) == ("The command foo was not found.", 2)


def test_what_was_said_long_before_is_one_reading_only() -> None:
    told = found(failed("warning: Permission denied", *["going on"] * 50))
    assert told["permission_denied"].confidence is Confidence.POSSIBLE
    assert told["permission_denied"].weight == OF_A_TASK["permission_denied"].weight - 20
    assert "exit_code" in told
    assert set(found(failed("No space left on device", *["I mended that"] * 30, kind="agent"))) == {"exit_code"}


@pytest.mark.parametrize(
    ("took", "count", "code"),
    [(1800, 5, "timeout_short"), (3500, 9, "timeout_short"), (60, 5, "timeout_hung"), (60, 4, "timed_out"), (1200, 9,
     "timed_out")],
)  # fmt: skip
def test_a_time_out_beside_what_others_take(took: float, count: int, code: str) -> None:
    over = ran(type="Timeout", message="stopped", took=3600)
    others = [ran(10 + number, failed=False, took=took) for number in range(count)]
    told = found(failed(error=TaskError(type="Timeout"), tries=[over], others=others))
    assert code in told
    assert told[code].facts["timeout_seconds"] == 3600
    if code == "timeout_short":
        assert told[code].facts["suggested_seconds"] == 7200
        assert "up to" in told[code].message
    if code == "timeout_hung":
        assert told[code].facts["suggested_seconds"] == 300


def test_others_of_other_work_say_nothing_about_time() -> None:
    over = ran(type="Timeout", took=3600, title="build")
    others = [ran(10 + number, failed=False, took=3000, kind="agent") for number in range(9)]
    assert "timed_out" in found(failed(error=TaskError(type="Timeout"), tries=[over], others=others))
    same = [ran(10 + number, failed=False, took=10, title="build") for number in range(5)]
    assert "timeout_hung" in found(failed(error=TaskError(type="Timeout"), tries=[over], others=[*others, *same]))


def test_lost_leases_name_their_workers() -> None:
    lost = [ran(attempt=number, type="LeaseExpired", worker_id=f"w{number % 2}") for number in (1, 2, 3)]
    told = found(failed(error=TaskError(type="LeaseExpired"), tries=lost))["lease_lost"]
    assert (told.facts, len(told.evidence)) == ({"times": 3, "workers": ["w1", "w0"]}, 3)
    assert "lease_lost" not in found(failed(tries=[*lost, ran(attempt=4)]))


def test_the_same_error_each_time_or_others() -> None:
    same = [ran(attempt=number, message=f"no row {number}") for number in (1, 2, 3)]
    assert found(failed(tries=same))["same_error"].facts == {"times": 3}
    other = found(failed(tries=[*same, ran(attempt=4, message="disk")]))
    assert other["different_errors"].facts == {"times": 4, "ways": 2}
    assert not {"same_error", "different_errors"} & set(found(failed(tries=same[:1])))


def test_others_that_fail_so_too_and_since_when() -> None:
    others = [ran(10 + number, ended_at=NOW - number * HOUR) for number in range(3)]
    told = found(failed(others=others))["others_fail"]
    assert (told.facts["tasks"], told.facts["since"]) == (3, "2027-01-15T06:00:00Z")
    assert "others_fail" not in found(failed(others=others[:1]))
    assert "others_fail" not in found(failed(others=[replace(one, message="something else") for one in others]))


def test_a_task_that_fails_alone() -> None:
    done = [ran(10 + number, failed=False) for number in range(5)]
    assert found(failed(others=done))["only_this"].facts == {"samples": 5}
    assert "only_this" not in found(failed(others=done[:4]))
    assert "only_this" not in found(failed(others=[*done, ran(20)]))


def test_what_holds_or_cancelled_it() -> None:
    assert list(found(failed(tries=[], hold="quota", reason="429"))) == ["agent_quota"]
    assert list(found(failed(tries=[], hold="budget"))) == ["agent_budget"]
    assert list(found(failed(tries=[], hold="question"))) == []
    assert list(found(failed(tries=[], reason="dependency_failed"))) == ["dependency_failed"]


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ("claude isn't allowed to work: log in", ["agent_auth"]), ("codex can't be started: it said nothing", ["agent_missing"]),
        ("the worker is shutting down", []), ("", []), ("no such file or directory", []),
    ],
)  # fmt: skip
def test_why_it_was_given_back(reason: str, codes: list[str]) -> None:
    released = ran(outcome=AttemptOutcome.RELEASED, type="", message="", reason=reason)
    assert list(found(failed(tries=[released]))) == codes
    assert list(found(failed(tries=[released, ran(failed=False)]))) == []


def test_a_task_that_did_not_fail() -> None:
    told = of_task(replace(failed(tries=[ran(failed=False)]), status=Status.COMPLETED))
    assert (told.summary, told.items) == ("No attempt of it failed.", [])


def test_every_code_of_a_task_has_a_case() -> None:
    tried = {code for code, _, _ in SAYS} | {code for code, _ in ENDS}
    tried |= {
        "timeout_short",
        "timeout_hung",
        "same_error",
        "different_errors",
        "others_fail",
        "only_this",
        "agent_budget",
        "agent_missing",
    }
    assert tried | {"dependency_failed"} == set(OF_A_TASK)


def test_what_a_message_needs_may_only_be_missing_where_there_are_other_words() -> None:
    optional = {"command", "what", "path", "address", "name", "port", "module", "tests"}
    for code, entry in OF_A_TASK.items():
        if needs(entry.message) & optional:
            assert entry.without, code
            assert not needs(entry.without), code
    for entry in CATALOGUE.values():
        assert 1 <= entry.weight <= 100
        assert entry.meaning
        assert entry.suggestion

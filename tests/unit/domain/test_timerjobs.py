"""What TimerJobs calls a job, as a schedule."""

from typing import Any

import msgspec
import pytest

from orchestrator.domain.drafting import new_task
from orchestrator.domain.elsewhere import Adopted, timer_job
from orchestrator.domain.rules import Defaults
from worker_client.contract.elsewhere import TimerJob
from worker_client.contract.enums import Overlap
from worker_client.contract.tasks import CreateTask
from worker_client.errors import ValidationFailed

WEBHOOK = '{"data":"value, with a comma"}'


def job(mode: str, command: str, **more: Any) -> Adopted:
    body = {"name": "n", "cron_expr": "0 0 2 * * *", "mode": mode, "command": command, **more}
    return timer_job(msgspec.convert(body, TimerJob), "/default")


def task(mode: str, command: str, **more: Any) -> CreateTask:
    found = job(mode, command, **more).schedule.task
    assert found is not None
    new_task(found, Defaults())
    return found


def spec(mode: str, command: str) -> dict[str, Any]:
    found = task(mode, command).spec
    assert found is not None
    return found


def refused(mode: str, command: str) -> str:
    with pytest.raises(ValidationFailed) as error:
        job(mode, command)
    assert error.value.details["field"] == "command"
    return error.value.message


EVERYTHING = (
    "【url】https://api.example.com/x?a=1\n【mode】post\n【headers】A:b|||C: d:e\n【data】one\ntwo\n"
    "【cookies】s=1; u=2\n【proxy】socks5://p:1\n【times】3\n【result】ok"
)


@pytest.mark.parametrize(
    "text",
    [
        EVERYTHING,
        EVERYTHING.replace("\n【", "\r\n【").replace("one\ntwo", "one\r\ntwo"),
        EVERYTHING.replace("【", "[").replace("】", "]"),
        EVERYTHING.replace("【", "\uff3b").replace("】", "\uff3d"),
        "\ufeff  " + EVERYTHING.replace("\n【", "\n\n  【 ").replace("】", " 】  "),
        "\n".join(f"【{part}" for part in reversed(EVERYTHING.removeprefix("【").split("\n【"))),
        EVERYTHING.replace("【url】", "【URL】"),
    ],
)
def test_a_request_however_it_is_written(text: str) -> None:
    assert spec("http", text) == {
        "url": "https://api.example.com/x?a=1",
        "method": "POST",
        "headers": {"A": "b", "C": "d:e"},
        "body": "one\ntwo",
        "cookies": "s=1; u=2",
        "proxy": "socks5://p:1",
        "expect_text": "ok",
        "expect_status": "any",
    }
    assert job("http", text).schedule.max_runs == 3


def test_what_a_job_does_not_say() -> None:
    plain = task("http", "https://api.example.com/health")
    assert (plain.spec, plain.timeout_seconds) == ({"url": "https://api.example.com/health", "method": "GET"}, 60)
    bare = task("command", "find /tmp -name '*.tmp'\r\n[ -f x ] && y")
    assert bare.spec == {"command": "find /tmp -name '*.tmp'\n[ -f x ] && y"}
    assert (bare.work_directory, bare.timeout_seconds, bare.max_attempts) == ("/default", 30, 1)
    assert spec("command", "[ -f a ] && [ -f b ]") == {"command": "[ -f a ] && [ -f b ]"}
    assert spec("http", "【url】http://a/\n【mode】\n【times】") == {"url": "http://a/", "method": "GET"}


def test_a_command_with_all_that_it_can_have() -> None:
    found = task("command", "【env】A=b=c|||D=\n【timeout】90\n【workdir】/srv/scripts\n【command】cd x\nmake")
    assert found.spec == {"command": "cd x\nmake"}
    assert (found.environment, found.timeout_seconds) == ({"A": "b=c", "D": ""}, 90)
    assert found.work_directory == "/srv/scripts"
    assert task("command", "dir\n", work_directory="C:\\x").work_directory == "C:\\x"


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("【name】Math\n【arg】+,100,50", ["+", "100", "50"]),
        ("Math +,10,5", ["+", "10", "5"]),
        ("【name】Dayin\n【arg】1, hello ,true", ["1", "hello", "true"]),
        ("【name】Own\n【arg】a,\"b,c\",'d, e',it's,,", ["a", "b,c", "d, e", "it's", "", ""]),
        ('【name】Own\n【arg】"say \\"a,b\\"",x"', ['say "a,b"', 'x"']),
        ("【name】Echo\n【arg】Hello, World", ["Hello, World"]),
        (
            "【arg】query,SELECT a, b FROM t WHERE c IN ('x', 'y')\n【name】Database",
            ["query", "SELECT a, b FROM t WHERE c IN ('x', 'y')"],
        ),
        (f"Webhook https://webhook.site/xxx,{WEBHOOK}", ["https://webhook.site/xxx", WEBHOOK]),
        ("Email user@example.com,测试,邮件内容, 第二", ["user@example.com", "测试", "邮件内容, 第二"]),
        ('Email a@b.de,"Hello, you","a, b"', ["a@b.de", "Hello, you", "a, b"]),
        ("Time 2006-01-02 15:04:05", ["2006-01-02 15:04:05"]),
        ("【name】Test", []),
        ("Test", []),
    ],
)
def test_the_arguments_of_a_function(call: str, args: list[str]) -> None:
    assert spec("func", call)["args"] == args


@pytest.mark.parametrize(
    ("mode", "command", "said"),
    [
        ("http", "【mode】GET", "has no 【url】: write for example 【url】https://"),
        ("http", "", "has no 【url】"),
        ("http", "【url】ftp://a/", "'ftp://a/'"),
        ("http", "【url】https://a/\n【mehtod】GET", "unknown key 【mehtod】; known are 【url】, 【mode】"),
        ("http", "【url】https://a/\n【url】https://b/", "【url】 twice"),
        ("http", "【url】https://a/【mode】GET", "each key on its own"),
        ("http", "【url】https://a/\nx", "write one line"),
        ("http", "https://a/\n【mode】GET", "text before 【mode】"),
        ("http", "【url】https://a/\n【headers】A", "write Name:value"),
        ("http", "【url】https://a/\n【headers】A:b\nC:d", "write Name:value"),
        ("http", "【url】https://a/\n【times】x", "【times】"),
        ("http", "【url】https://a/\n【times】-1", "from 0 to"),
        ("command", "【workdir】/a", "has no 【command】"),
        ("command", "【command】x\n【timeout】0", "from 1 to 31536000, seconds"),
        ("command", "【command】x\n【timeout】٣", "【timeout】"),
        ("command", "【command】x\n【env】A", "write NAME=value"),
        ("command", "x\n【timeout】5", "text before 【timeout】"),
        ("func", "【arg】1", "has no 【name】"),
        ("func", "", "has no 【name】"),
    ],
)
def test_what_lacks_or_is_wrong_is_named(mode: str, command: str, said: str) -> None:
    assert said in refused(mode, command)


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"state": 0}, (True, None, Overlap.ALLOW, False)),
        ({"state": 1, "allow_mode": 1, "max_run_count": 5}, (True, 5, Overlap.ONE_AT_A_TIME, False)),
        ({"allow_mode": 2}, (True, None, Overlap.ALLOW, True)),
        ({"state": 2, "allow_mode": 2}, (False, None, Overlap.ALLOW, False)),
    ],
)
def test_when_and_how_often(fields: dict[str, Any], facts: tuple[Any, ...]) -> None:
    found = job("func", "Test", **fields)
    schedule = found.schedule
    assert (schedule.enabled, schedule.max_runs, schedule.overlap, found.at_once) == facts


def test_the_smaller_cap_counts() -> None:
    assert job("http", "【url】https://a/\n【times】3", max_run_count=2).schedule.max_runs == 2
    assert job("http", "【url】https://a/\n【times】0", max_run_count=2).schedule.max_runs == 2


@pytest.mark.parametrize(
    ("expression", "zone", "cron"),
    [
        ("0 0 2 * * *", "Asia/Shanghai", "0 0 2 * * *"),
        ("CRON_TZ=Europe/Berlin 0 0 2 * * *", "Europe/Berlin", "0 0 2 * * *"),
        (" TZ=UTC  @daily", "UTC", "@daily"),
    ],
)
def test_an_expression_may_say_its_zone(expression: str, zone: str, cron: str) -> None:
    schedule = job("func", "Test", cron_expr=expression, timezone="Asia/Shanghai").schedule
    assert (schedule.timezone, schedule.cron) == (zone, cron)

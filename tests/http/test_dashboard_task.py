"""The page of one task, as a client without a browser sees it."""

import re
from collections.abc import AsyncIterator, Sequence
from html import unescape
from typing import Any

import httpx
import pytest

from orchestrator.settings import Auth
from tests.http.callers import BOOTSTRAP, Keys, bearer
from tests.http.conftest import Running, serving
from tests.http.looking import HOSTILE, HTML, harmless, page, panel, text

pytestmark = pytest.mark.anyio


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.address, headers=HTML) as client:
        yield client


async def of_task(browser: httpx.AsyncClient, task_id: int, **query: Any) -> str:
    return await page(browser, f"/tasks/{task_id}", **query)


def numbers(html: str) -> list[int]:
    return [int(number) for number in re.findall(r'id="L(\d+)"', html)]


async def speaking(server: Running, directory: str, lines: Sequence[Any], **facts: Any) -> tuple[int, str]:
    """A task that runs and has said something; its id and its lease."""
    await server.task(directory, **facts)
    claimed = await server.claim(directory)
    for start in range(0, len(lines), 1000):
        await server.post(f"/tasks/{claimed['id']}/logs", {"lease": claimed["lease"], "lines": list(lines[start : start + 1000])})
    return claimed["id"], claimed["lease"]


async def test_a_failed_task_is_told_with_all_its_attempts(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    facts = {
        "title": "Mend the roof",
        "max_attempts": 2,
        "backoff": {"base_seconds": 0},
        "tags": ["house"],
        "metadata": {"no": "R-7"},
    }
    task_id, lease = await speaking(server, directory, ["\x1b[31mred\x1b[0m"], **facts)
    evidence = {
        "exit_code": 3, "argv": ["claude", "-p"], "verify": {"command": "make test", "exit_code": 2},
        "worktree": {"branch": "task/roof", "commits": 2, "diff_stat": " roof.py | 3 ++-"},
    }  # fmt: skip
    usage = {"input_tokens": 41_200, "output_tokens": 30, "cost_usd": 0.41, "model": "sonnet"}
    error = {"type": "VerifyFailed", "message": "one failed", "details": {"output_tail": "assert 1 == 2"}}
    await server.post(f"/tasks/{task_id}/fail", {"lease": lease, "error": error, "usage": usage, "evidence": evidence})
    again = await server.claim(directory)
    await server.post(f"/tasks/{task_id}/fail", {"lease": again["lease"], "error": {"message": "again"}, "retryable": False})
    shown = await of_task(browser, task_id)
    assert '<h1><span class="foreign">Mend the roof</span></h1>' in shown
    attempts = text(panel(shown, "task-attempts"))
    for said in (
        "VerifyFailed",
        "make test",
        "✗ 2",
        "task/roof",
        "2 commits",
        "41.2 k / 30",
        "$0.41",
        "sonnet",
        "roof.py | 3 ++-",
    ):
        assert said in attempts
    assert "again" in text(panel(shown, "task-state"))
    timeline = text(panel(shown, "task-timeline"))
    assert [timeline.index(word) for word in ("Failed", "Taken", "Created")] == sorted(
        timeline.index(word) for word in ("Failed", "Taken", "Created")
    )
    assert "R-7" in text(panel(shown, "task-facts"))
    assert '<span class="i1">red</span>' in shown
    assert 'action="/do/retry"' in shown
    assert 'action="/do/cancel"' not in shown
    calls = text(panel(shown, "task-calls"))
    assert "curl -X POST" in calls
    assert "ORCHESTRATOR_API_KEY" in calls
    assert "client.create(" in calls


async def test_the_output_is_a_window_of_any_size_of_log(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    lines = [f"line {number} {'needle' if number % 500 == 7 else ''}" for number in range(1, 3001)]
    task_id, _ = await speaking(server, directory, lines)
    end = await of_task(browser, task_id)
    assert numbers(end)[-1] == 3000
    assert len(numbers(end)) == 250
    assert "data-follow" in end
    middle = await of_task(browser, task_id, line=1200)
    assert 'id="L1200" class=" at"' in middle
    assert numbers(middle)[0] < 1200 < numbers(middle)[-1]
    assert "data-follow" not in middle
    beginning = await of_task(browser, task_id, after=0)
    assert numbers(beginning)[0] == 1
    found = await of_task(browser, task_id, find="NEEDLE", line=1007)
    assert "6 lines" in text(panel(found, "task-log"))
    assert "<mark>needle</mark>" in found
    assert 'line=507#L507"' in unescape(found)
    assert 'line=1507#L1507"' in unescape(found)
    timed = await of_task(browser, task_id, times=1)
    assert re.search(r"<time>\d\d:\d\d:\d\d\.\d{3}</time>", timed)
    for shown in (end, middle, found, timed):
        assert len(shown) < 100_000
    whole = await browser.get(f"/api/v1/tasks/{task_id}/logs/download")
    assert whole.text.splitlines() == lines
    assert whole.headers["content-disposition"] == f'attachment; filename="task-{task_id}.log"'


async def test_long_lines_are_cut_and_their_whole_is_a_link_away(
    server: Running, browser: httpx.AsyncClient, directory: str
) -> None:
    lines = ["before", *["x" * 60_000] * 40, {"text": "y" * 50_000, "stream": "stderr"}]
    task_id, _ = await speaking(server, directory, lines)
    shown = await of_task(browser, task_id)
    assert len(shown) < 100_000
    assert numbers(shown)[-1] == 42
    link = unescape(re.findall(r'class="rest" href="([^"]+)"', shown)[-1])
    assert (await browser.get(link)).text == "y" * 50_000 + "\n"
    assert "standard error:" in shown


async def test_hostile_texts_are_texts(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    task_id, lease = await speaking(
        server, directory, [HOSTILE, HOSTILE * 50], title=HOSTILE, prompt=HOSTILE * 2000, tags=['"><b>'], description=HOSTILE,
        metadata={HOSTILE: {"deep": HOSTILE}}, environment={"X": HOSTILE},
    )  # fmt: skip
    await server.post(f"/tasks/{task_id}/heartbeat", {"lease": lease, "progress": {"percent": 3, "message": HOSTILE}})
    child = await server.task(directory, title=HOSTILE, depends_on=[task_id])
    running = await of_task(browser, task_id, find="<script>")
    await server.post(f"/tasks/{task_id}/park", {"lease": lease, "question": HOSTILE, "options": [HOSTILE, "no"]})
    asking = await of_task(browser, task_id)
    await server.post(f"/tasks/{task_id}/answer", {"answer": HOSTILE})
    again = await server.claim(directory)
    evidence = {"argv": [HOSTILE], "worktree": {"branch": HOSTILE, "diff_stat": HOSTILE}, "verify": HOSTILE, "exit_code": HOSTILE}
    error = {"type": HOSTILE[:200], "message": HOSTILE, "details": {"output_tail": HOSTILE}}
    body = {"lease": again["lease"], "error": error, "retryable": False, "evidence": evidence}
    await server.post(f"/tasks/{task_id}/fail", body)
    failed = await of_task(browser, task_id)
    for shown in (running, asking, failed, await of_task(browser, child["id"])):
        harmless(shown)


async def test_results_of_any_kind_and_size_are_shown(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    for result in ("done", {"files": ["a", "b"]}, None, 0, "long " * 100_000):
        task_id, lease = await speaking(server, directory, ["x"])
        await server.post(f"/tasks/{task_id}/complete", {"lease": lease, "result": result})
        shown = panel(await of_task(browser, task_id), "task-result")
        assert ("<pre" in shown) == (result is not None)
    assert "496,000 more characters" in text(shown) or "497,000 more characters" in text(shown)
    whole = await of_task(browser, task_id, whole="result")
    assert len(whole) > 200_000


async def test_what_waits_says_why_and_its_graph_is_drawn(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    first = await server.task(directory, title="First of all")
    second = await server.task(directory, title="Second", depends_on=[first["id"]])
    shown = await of_task(browser, second["id"])
    assert f"Blocked by task {first['id']}" in text(panel(shown, "task-state"))
    graph = panel(shown, "task-graph")
    assert graph.count("<rect") == 2
    assert f'href="/tasks/{first["id"]}"' in graph
    assert panel(await of_task(browser, (await server.task(directory))["id"]), "task-graph").count("<rect") == 0


async def test_forms_change_delete_and_answer(server: Running, browser: httpx.AsyncClient, directory: str) -> None:
    task = await server.task(directory, prompt="One\nTwo")
    fields = {"task_id": task["id"], "version": task["version"], "title": "Named", "priority": "high", "prompt": "One\r\nTwo"}
    assert (await browser.post("/do/change_task", data=fields)).status_code == 303
    changed = await server.get(f"/tasks/{task['id']}")
    assert (changed["title"], changed["priority"], changed["prompt"]) == ("Named", "high", "One\nTwo")
    stale = await browser.post("/do/change_task", data={**fields, "prompt": "Three"})
    assert stale.status_code == 409
    assert (await browser.post("/do/change_task", data={**fields, "priority": "extreme"})).status_code == 400
    assert (await browser.post("/do/delete_task", data={"task_id": task["id"]})).headers["location"] == "/tasks"
    assert (await browser.get(f"/tasks/{task['id']}")).status_code == 404


@pytest.mark.parametrize("path", ["x", "-1", "0", "9" * 30, "4611686018427387904"])
async def test_what_is_no_task_is_not_found(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(f"/tasks/{path}")).status_code == 404


async def test_a_page_tells_and_offers_no_more_than_the_key_may(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with serving(tmp_path_factory.mktemp("closed") / "tasks.db", auth=Auth(bootstrap_key=BOOTSTRAP)) as server:
        keys = Keys(server)
        secret = await keys.ask(
            "POST", "/tasks", json={"work_directory": "/secret/x", "prompt": "unseen work", "title": "unseen work"}
        )
        mine = await keys.ask("POST", "/tasks", json={"work_directory": "/mine", "prompt": "p", "depends_on": [secret["id"]]})
        limited = bearer(await keys.make("limited", "read", paths=["/mine/**"]))
        async with httpx.AsyncClient(base_url=server.address, headers={**HTML, **limited}) as browser:
            assert (await browser.get(f"/tasks/{secret['id']}")).status_code == 404
            shown = (await browser.get(f"/tasks/{mine['id']}")).text
            assert "unseen work" not in shown
            assert f"/tasks/{secret['id']}" not in shown
            assert "/do/cancel" not in shown
            for rest in ("events", "graph", "logs/outline", "logs/search?q=x", "logs/download"):
                assert (await browser.get(f"/api/v1/tasks/{secret['id']}/{rest}")).status_code == 404

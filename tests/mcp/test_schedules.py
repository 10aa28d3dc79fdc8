"""Schedules and commands by MCP."""

import pytest

from tests.http.callers import Keys
from tests.http.conftest import Running
from tests.mcp.speaking import Agent, connected

pytestmark = pytest.mark.anyio


async def test_schedules_are_added_and_listed(server: Running, agent: Agent, era: str, directory: str) -> None:
    name = f"nightly {era}"
    task = {"prompt": "Update  the\ndependencies", "work_path": directory}
    added = await agent("schedule_add", name=name, cron="0 2 * * *", timezone="Asia/Shanghai", task=task, overlap="skip")
    assert added["next_fire_at"].endswith("T18:00:00Z")
    made = await server.get(f"/schedules/{added['id']}")
    assert (made["task"]["work_directory"], made["overlap"], made["timezone"]) == (directory, "skip", "Asia/Shanghai")
    listed = await agent("schedule_list", search=name)
    assert listed["total"] == 1
    expected = f"{added['id']} active {name}: 0 2 * * * Asia/Shanghai next {added['next_fire_at']} Update the dependencies"
    assert listed["schedules"] == [expected]
    await agent("schedule_add", name=f"{name} 2", cron="@daily", tasks=[task, task])
    first = await agent("schedule_list", search=name, limit=1)
    rest = await agent("schedule_list", search=name, limit=1, cursor=first["next_cursor"])
    assert rest["schedules"][0].endswith("2 tasks")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cron": "0 0 31 2 *", "task": {"prompt": "x", "work_path": "/a"}}, "31"),
        ({"cron": "@daily"}, "task"),
        ({"cron": "@daily", "task": {"promt": "x"}}, "promt"),
        ({"cron": "@daily", "every": 5}, "the arguments are: name, cron"),
        ({"cron": "@daily", "task": {"prompt": "x"}}, "work_path"),
    ],
)
async def test_a_bad_schedule_is_refused_in_words(agent: Agent, arguments: dict[str, object], words: str) -> None:
    refused = await agent.refused("schedule_add", name="bad", **arguments)
    assert (refused["code"], words in refused["message"]) == ("VALIDATION_ERROR", True), refused


async def test_schedules_are_for_who_administers(server: Running, era: str) -> None:
    async with connected(server, era, await Keys(server).make(f"plans {era}", "read", "submit")) as agent:
        for tool, arguments in (("schedule_add", {"name": "x", "cron": "@daily"}), ("schedule_list", {})):
            refused = await agent.refused(tool, **arguments)
            assert (refused["code"], "admin" in refused["message"]) == ("FORBIDDEN", True)


async def test_a_task_takes_a_command(server: Running, agent: Agent, era: str, directory: str) -> None:
    name = f"tidy-{era}"
    await server.post("/commands", {"name": name, "body": "Tidy ${branch}", "arguments": [{"name": "branch", "default": "x"}]})
    for arguments, prompt in (({"branch": "old"}, "Tidy old"), ("main", "Tidy main")):
        added = await agent("task_add", work_path=directory, command=name, arguments=arguments)
        assert (await agent("task_get", id=added["id"]))["prompt"].startswith(prompt)
    refused = await agent.refused("task_add", work_path=directory, command="unheard-of")
    assert "unheard-of" in refused["message"]

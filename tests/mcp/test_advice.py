"""Advice as a model reads it."""

import pytest

from tests.http.conftest import Running
from tests.mcp.speaking import Agent

pytestmark = pytest.mark.anyio


async def test_why_a_task_failed_and_what_to_change(server: Running, agent: Agent, directory: str) -> None:
    for _ in range(5):
        await server.task(directory, kind="script", spec={"command": "x"}, max_attempts=1)
        task = await server.claim(directory, kinds="script")
        lines = ["sh: 1: pnpm: not found " + "x" * 5_000]
        await server.post(f"/tasks/{task['id']}/logs", {"lease": task["lease"], "lines": lines})
        await server.post(f"/tasks/{task['id']}/fail", {"lease": task["lease"], "error": {"message": "no"}})
    told = await agent("advice", id=task["id"])
    assert told["summary"] == "The command pnpm was not found."
    first = told["advice"][0]
    assert (first["code"], first["confidence"]) == ("command_not_found", "likely")
    assert first["evidence"][0].startswith("line 1: sh: 1: pnpm: not found")
    assert len(str(told)) < 4_000
    whole = await agent("advice", work_path=directory)
    assert [(one["code"], one["work_directory"]) for one in whole["advice"]] == [("never_succeeds", directory)]
    assert (await agent("advice", work_path=f"{directory}/else"))["advice"] == []
    assert (await agent.refused("advice", id=10**9))["code"] == "NOT_FOUND"

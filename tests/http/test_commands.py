"""Commands over HTTP, and tasks that name one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import Auth, CommandFiles
from tests.http.conftest import PATIENCE_S, Running, serving

pytestmark = pytest.mark.anyio
REVIEW = {
    "name": "git/review",
    "description": "Review a change",
    "arguments": [{"name": "what", "required": True}, {"name": "how", "default": "carefully"}],
    "body": "Review ${what} ${how}.",
    "settings": {"model": "opus"},
}


def folder(server: Running) -> Path:
    found: Path = server.app.state.settings.commands_directory
    return found


@pytest.fixture
async def review(server: Running) -> Any:
    made = await server.post("/commands", REVIEW)
    yield made
    await server.client.delete("/commands/git/review")


async def test_a_command_from_its_creation_to_its_end(server: Running) -> None:
    made = await server.post("/commands", REVIEW)
    assert {name: made[name] for name in ("name", "description", "body", "settings", "problem")} == {
        **{name: REVIEW[name] for name in ("name", "description", "body", "settings")},
        "problem": None,
    }
    assert made["arguments"] == [{"name": "what", "required": True}, {"name": "how", "default": "carefully"}]
    assert (folder(server) / "git" / "review.md").read_text().endswith("---\nReview ${what} ${how}.\n")
    assert await server.get("/commands/git/review") == made
    assert (await server.get("/commands", q="CHANGE"))["items"] == [made]
    assert (await server.get("/commands", q="nothing"))["items"] == []
    refused = await server.refused("POST", "/commands", 409, json=REVIEW)
    assert "git/review" in refused["message"]
    changed = (await server.client.put("/commands/git/review", json={"body": "Look at ${what}"})).json()["data"]
    assert (changed["body"], changed["description"]) == ("Look at ${what}", "Review a change")
    assert (await server.client.delete("/commands/git/review")).status_code == 204
    await server.refused("GET", "/commands/git/review", 404)
    await server.refused("DELETE", "/commands/git/review", 404)
    await server.refused("PUT", "/commands/git/review", 404, json={"body": "x"})
    told = [(entry["type"], entry["data"]) for entry in (await server.get("/audit"))["items"] if entry["type"][:7] == "command"]
    assert told == [(f"command.{what}", {"name": "git/review"}) for what in ("deleted", "changed", "created")]


@pytest.mark.parametrize("name", ["../../x", "..", "/x", "a//b", "X", "a b", "x.md", "a/", ".a", "", "a" * 65, "ü"])
async def test_no_name_leaves_the_folder(server: Running, name: str) -> None:
    before = sorted(folder(server).parent.parent.rglob("*"))
    refused = await server.refused("POST", "/commands", 400, json={"name": name, "body": "x"})
    assert "lower-case" in refused["message"]
    for path in (name, name.replace(".", "%2e").replace("/", "%2f"), f"x/%2e%2e/{name}"):
        for method, body in (("PUT", {"body": "x"}), ("DELETE", None), ("GET", None)):
            answer = await server.client.request(method, f"/commands/{path}", json=body)
            if answer.status_code == 200 and method == "GET":
                assert not name.strip("/.")  # the list itself
            else:
                assert 400 <= answer.status_code < 500, (method, path)
    assert sorted(folder(server).parent.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"name": "x"}, "`body` is missing"),
        ({"name": "x", "body": " \n "}, "`body` is empty"),
        ({"name": "x", "body": "b", "prompt": "c"}, "`prompt` is not known"),
        ({"name": "x", "body": "b\0"}, "NUL"),
        ({"name": "x", "body": "b", "arguments": [{"name": "a b"}]}, "`arguments[0].name`"),
        ({"name": "x", "body": "b", "arguments": [{"name": "a"}, {"name": "a"}]}, "twice"),
        ({"name": "x", "body": "b", "settings": {"description": "y"}}, "`settings.description`"),
        ({"name": "x", "body": "b", "settings": json.loads('{"a":' * 21 + "1" + "}" * 21)}, "nested more than 20 deep"),
        ({"name": "x", "body": "b", "settings": json.loads('{"a":' * 800 + "1" + "}" * 800)}, "nested more than 20 deep"),
        ({"name": "x", "body": "b", "settings": {"a": "x" * 70_000}}, "65,536"),
    ],
)
async def test_what_cannot_be_a_command_is_refused(server: Running, body: dict[str, Any], says: str) -> None:
    assert says in (await server.refused("POST", "/commands", 400, json=body))["message"]
    assert not (folder(server) / "x.md").exists()
    await server.refused("GET", "/commands/x", 404)
    assert not (folder(server) / "x.md").exists()


async def test_a_task_has_the_prompt_that_its_command_comes_to(server: Running, directory: str, review: Any) -> None:
    for arguments, prompt in (
        ({"what": "it all"}, "Review it all carefully."),
        ({"what": "a", "how": "twice"}, "Review a twice."),
        ("'it all' twice", "Review it all twice."),
    ):
        body = {"work_directory": directory, "command": "git/review", "arguments": arguments}
        task = await server.post("/tasks", body)
        assert task["prompt"] == prompt
    batch = await server.post("/tasks/batch", {"tasks": [body, {"work_directory": directory, "prompt": "x"}]})
    assert [task["prompt"] for task in batch["tasks"]] == ["Review it all twice.", "x"]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"command": "git/reveiw"}, "command", "did you mean `git/review`?"),
        ({"command": "git/review"}, "arguments", "has no 'what'"),
        ({"command": "git/review", "arguments": {"what": "a", "who": "b"}}, "arguments", "'who'"),
        ({"command": "git/review", "arguments": "a b c"}, "arguments", "'c'"),
        ({"command": "git/review", "arguments": 5}, "arguments", "`arguments` is 5"),
        ({"command": "git/review", "prompt": "x"}, "command", "not both"),
        ({"arguments": "x"}, "arguments", "send `command`"),
        ({"command": "../../etc/passwd"}, "command", "which there is not"),
        ({"command": "git/review", "arguments": {"what": "x" * 1_100_000}}, "arguments", "more than 1,048,576"),
        ({"command": "git/review", "arguments": {"what": "{{ secrets.TOKEN }}"}}, "prompt", "there is no secret TOKEN"),
    ],
)
async def test_a_command_that_cannot_be_used_is_told(
    server: Running, directory: str, review: Any, body: dict[str, Any], field: str, says: str
) -> None:
    refused = await server.refused("POST", "/tasks", 400, json={"work_directory": directory, **body})
    assert says in refused["message"]
    assert field in refused["details"]["field"] or field == "prompt"
    refused = await server.refused("POST", "/tasks/batch", 400, json={"tasks": [{"work_directory": directory, **body}]})
    assert refused["details"]["field"].startswith("tasks[0].")
    assert (await server.get("/tasks", work_path=directory))["items"] == []


async def test_the_same_request_is_the_same_task_whatever_the_file_says_by_then(
    server: Running, directory: str, review: Any
) -> None:
    body = {"work_directory": directory, "command": "git/review", "arguments": {"what": "a"}, "key": directory}
    first = await server.post("/tasks", body)
    await server.client.put("/commands/git/review", json={"body": "Another prompt"})
    again = await server.client.post("/tasks", json=body)
    assert (again.status_code, again.json()["data"]["id"]) == (200, first["id"])
    assert again.json()["data"]["prompt"] == "Review a carefully."
    other = {**body, "arguments": {"what": "b"}}
    await server.refused("POST", "/tasks", 409, json=other)
    await server.client.delete("/commands/git/review")
    for path, sent in (("/tasks", body), ("/tasks/batch", {"tasks": [body]})):
        answer = (await server.client.post(path, json=sent)).json()["data"]
        assert answer.get("tasks", [answer])[0]["id"] == first["id"]
    await server.refused("POST", "/tasks", 409, json=other)
    refused = await server.refused("POST", "/tasks", 400, json={**body, "key": f"{directory}/other"})
    assert "which there is not" in refused["message"]
    await server.refused("POST", "/tasks/batch", 400, json={"tasks": [{**body, "key": f"{directory}/other"}]})


async def test_what_stands_in_a_file_is_in_force_soon(server: Running, directory: str) -> None:
    path = folder(server) / "by-hand.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("---\nargument-hint: [file] [how]\n---\nBy hand: $ARGUMENTS\n")
    async with asyncio.timeout(PATIENCE_S):
        while (await server.client.get("/commands/by-hand")).status_code != 200:  # noqa: ASYNC110 - what is awaited is the server
            await asyncio.sleep(0.05)
    task = await server.post("/tasks", {"work_directory": directory, "command": "by-hand", "arguments": "all of it"})
    assert task["prompt"] == "By hand: all of it"
    path.write_text("---\nbroken")
    async with asyncio.timeout(PATIENCE_S):
        while (shown := await server.get("/commands/by-hand"))["problem"] is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert "no second one" in shown["problem"]
    refused = await server.refused("POST", "/tasks", 400, json={"work_directory": directory, "command": "by-hand"})
    assert "no second one" in refused["message"]
    path.unlink()
    await server.post("/system/reload")
    await server.refused("GET", "/commands/by-hand", 404)


async def test_a_folder_of_the_settings_is_read_before_the_first_request_and_again_at_a_reload(tmp_path: Path) -> None:
    for name, text in (("one", "first"), ("other", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.md").write_text(text)
    async with serving(tmp_path / "tasks.db", commands=CommandFiles(directory=str(tmp_path / "one"))) as server:
        assert [one["name"] for one in (await server.get("/commands"))["items"]] == ["one"]
        task = await server.post("/tasks", {"work_directory": "/a", "command": "one"})
        assert task["prompt"] == "first"
        await server.app.state.commands.move(tmp_path / "other")
        assert (await server.post("/tasks", {"work_directory": "/a", "command": "other"}))["prompt"] == "second"
        await server.refused("POST", "/tasks", 400, json={"work_directory": "/a", "command": "one"})
        await server.post("/system/reload")
        assert [one["name"] for one in (await server.get("/commands"))["items"]] == ["one"]
        assert (await server.post("/tasks", {"work_directory": "/a", "command": "one"}))["prompt"] == "first"


async def test_who_may_read_and_who_may_write(tmp_path: Path) -> None:
    admin = "a" * 40
    async with serving(tmp_path / "tasks.db", auth=Auth(mode="required", bootstrap_key=admin)) as server:
        server.client.headers["Authorization"] = f"Bearer {admin}"
        await server.post("/commands", REVIEW)

        async def key(*scopes: str, **more: Any) -> dict[str, Any]:
            made = await server.post("/auth/keys", {"name": "-".join([*scopes, *more]), "scopes": list(scopes), **more})
            return {"headers": {"Authorization": f"Bearer {made['key']}"}}

        reader, limited = await key("read"), await key("admin", "read", paths=["/a/**"])
        assert (await server.client.get("/commands/git/review", **reader)).status_code == 200
        for by in (reader, limited, {"headers": {"Authorization": ""}}):
            for method, path, body in (
                ("POST", "/commands", {"name": "x", "body": "y"}),
                ("PUT", "/commands/git/review", {"body": "y"}),
                ("DELETE", "/commands/git/review", None),
            ):
                answer = await server.client.request(method, path, json=body, **by)
                assert answer.status_code in {401, 403}, (method, answer.text)
        assert [one["body"] for one in (await server.get("/commands"))["items"]] == [REVIEW["body"]]

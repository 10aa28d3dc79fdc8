"""The description of the API: true to what the server does, and a page that shows it without help from elsewhere."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from orchestrator.http.meanings import ANY, PATH, TAGS, example, fields
from orchestrator.http.routes import API, ROOT
from orchestrator.settings import Auth, Limits
from tests.http.conftest import Running, serving

pytestmark = pytest.mark.anyio

KEY = "k" * 32
PAGES = Path(__file__).parents[2] / "orchestrator" / "http" / "pages"


async def document(server: Running) -> Any:
    async with httpx.AsyncClient(base_url=server.address) as client:
        return (await client.get("/schema/openapi.json")).json()


async def test_every_route_is_described(server: Running) -> None:
    described = {(path, method) for path, methods in (await document(server))["paths"].items() for method in methods}
    for handlers, prefix in ((API, "/api/v1"), (ROOT, "")):
        for handler in handlers:
            for path in handler.paths:
                if not path.startswith(("/schema", "/login", "/logout")):
                    template = prefix + re.sub(r":\w+", "", path)
                    assert {(template, method.lower()) for method in handler.http_methods} <= described


async def test_metrics_are_described_as_text(server: Running) -> None:
    content = (await document(server))["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert content == {"text/plain": {"schema": {"type": "string"}}}


async def test_references_lead_somewhere(server: Running) -> None:
    described = await document(server)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert names <= described["components"]["schemas"].keys()
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)


async def test_an_operation_says_all_that_a_generator_wants(server: Running) -> None:
    described = await document(server)
    assert [tag["name"] for tag in described["tags"]] == list(TAGS)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"]
            assert re.fullmatch(r"[a-z]+(_[a-z]+)+|heartbeat", name), name
            assert operation["summary"], name
            assert "Needs " in operation["description"], name
            assert len(operation["tags"]) == 1, name
            assert operation["tags"][0] in TAGS, name
            assert all(one["description"] for one in operation["parameters"]), name
            assert all(one["description"] for one in operation["responses"].values()), name
            if body := operation.get("requestBody"):
                assert "example" in body["content"]["application/json"], name
            if "security" in operation and operation["security"] != [{}]:
                assert {"401", "403", "429"} <= operation["responses"].keys(), f"{method} {path}"


async def test_every_field_says_what_it_means_and_no_meaning_is_left_over(server: Running) -> None:
    schemas = (await document(server))["components"]["schemas"]
    there = {(name, field) for name, schema in schemas.items() for field in schema.get("properties", {})}
    silent = [(name, field) for name, field in there if not schemas[name]["properties"][field].get("description")]
    assert silent == [], "say it in orchestrator/http/fields.toml"
    own = {(name, field) for name, meanings in fields().items() if name not in {ANY, PATH} for field in meanings}
    assert own - there == set(), "there are no such fields"
    by_name = {field for name, field in there if (name, field) not in own}
    assert fields()[ANY].keys() - by_name == set(), "every object with such a field says it by itself"


async def test_an_example_is_a_body_of_its_kind() -> None:
    bodies = {one.opt["openapi"].body for one in API + ROOT if "openapi" in one.opt}
    for body in bodies - {None}:
        msgspec.convert(example(body.__name__), body)


async def test_the_page_needs_no_other_host(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.address) as client:
        page = await client.get("/schema")
        linked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert all(link.startswith(("/schema", "data:")) for link in linked)
        for link in linked:
            if link.startswith("/"):
                assert (await client.get(link)).status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert not [name.name for name in PAGES.iterdir() if re.search(r"https?://|innerHTML|eval\(", name.read_text())]


@pytest.mark.system
@pytest.mark.parametrize("phase", ["fuzzing", "coverage"])
async def test_what_it_says_is_what_happens(phase: str, tmp_path: Path) -> None:
    auth, limits = Auth(bootstrap_key=KEY), Limits(rate="100000000/s")
    async with serving(tmp_path / "tasks.db", auth=auth, limits=limits) as server:
        server.client.headers["authorization"] = f"Bearer {KEY}"
        for _ in range(3):
            await server.task("/described")
        await server.claim("/described")
        # A server that drains holds no answers back, and so the many questions of this test take no time.
        server.queue.drain()
        options = [
            f"--phases={phase}",
            "--max-examples=10",
            "--generation-deterministic",
            # The feed never ends; a whitelist would lock out this test; readiness and sockets are refused while draining; MCP
            # refuses as JSON-RPC does; and rules between fields are beyond a schema.
            "--exclude-path=/api/v1/events",
            "--exclude-path=/api/v1/ip-control/whitelist/add",
            "--exclude-path=/mcp",
            "--exclude-path=/health/ready",
            "--exclude-path=/ws",
            "--exclude-path=/api/v1/ws",
            "--exclude-checks=positive_data_acceptance",
            f"--header=Authorization: Bearer {KEY}",
            "--no-color",
            "--no-shrink",
        ]
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", *options]
        address = f"{server.address}/schema/openapi.json"
        run = await asyncio.create_subprocess_exec(
            *command, address, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await run.communicate()
    assert run.returncode == 0, output.decode()

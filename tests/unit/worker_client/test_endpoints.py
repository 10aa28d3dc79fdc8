"""What the SDK asks for is what the server has, and the other way round."""

import inspect
import re
import typing
from typing import Any, Final

import pytest
from httpx import URL

from orchestrator.http.routes import API, ROOT
from worker_client import AsyncClient, Client, endpoints
from worker_client.contract.enums import AddressList
from worker_client.contract.logs import ReadLogs
from worker_client.contract.system import ReadSystemLogs
from worker_client.endpoints import Call, Repeat
from worker_client.methods import Method, Methods

VALUES: Final[dict[Any, Any]] = {
    int: 7,
    str: "a",
    AddressList | str: AddressList.ALLOW,
    ReadLogs: ReadLogs(),
    ReadSystemLogs: ReadSystemLogs(),
}
PARTS: Final = {"7", "a", "whitelist", "ready"}
NOT_BY_THE_SDK: Final = re.compile(r"/(ws|metrics|login.*|logout|schema.*|mcp.*|public/.*|system/metrics|dashboard.*)?$")
"""For people, probes, and whoever calls triggers; and the root."""


class Body:
    """Any body: what an endpoint looks at is there."""

    wait = 0
    version = None
    first_line = None


def made(endpoint: Any) -> Call[Any]:
    hints = typing.get_type_hints(endpoint)
    return endpoint(*(VALUES.get(hints[name], Body()) for name in inspect.signature(endpoint).parameters))  # type: ignore[no-any-return]


def calls() -> dict[str, Call[Any]]:
    named = ((name, getattr(endpoints, name)) for name in endpoints.__all__)
    return {name: made(one) for name, one in named if inspect.isfunction(one)}


def routes() -> set[tuple[str, str]]:
    return {
        (method, re.sub(r"\{[^}]+\}", "{}", prefix + path))
        for handlers, prefix in ((API, "/api/v1"), (ROOT, ""))
        for handler in handlers
        for path in handler.paths
        for method in getattr(handler, "http_methods", ())
    }


def plain(path: str) -> str:
    return "/".join("{}" if part in PARTS else part for part in path.split("/"))


def test_no_name_leads_to_another_endpoint() -> None:
    for name in ("..", "../schedules/5", "../../x", "a/../../../tasks"):
        for made in (endpoints.delete_command(name), endpoints.delete_workflow(name), endpoints.revoke_key(name)):
            assert "/../" not in f"{made.path}/"
            assert URL(f"http://a{made.path}").raw_path.decode() == made.path


def test_every_endpoint_is_one_of_the_server() -> None:
    known = {(method, path) for method, path in routes()}
    known |= {(method, path.replace("/ip-control/whitelist/", "/ip-control/{}/")) for method, path in known}
    missing = {name: (one.method, plain(one.path)) for name, one in calls().items()}
    probes = {"/health/{}": "/health/ready"}
    assert {name: one for name, one in missing.items() if (one[0], probes.get(one[1], one[1])) not in known} == {}


def test_every_call_of_the_server_is_one_of_the_sdk() -> None:
    asked = {(one.method, plain(one.path)) for one in calls().values()}
    asked |= {
        (method, path.replace("/ip-control/{}/", f"/ip-control/{which}/"))
        for method, path in asked
        for which in ("whitelist", "blacklist")
    }
    left = {one for one in routes() - asked if one[0] != "HEAD" and not NOT_BY_THE_SDK.search(one[1].removeprefix("/api/v1"))}
    same = {("GET", "/health/live"), ("GET", "/health/ready"), ("POST", "/api/v1/deployment/workflows/{}/deploy")}
    assert left - same == set()


def test_reads_may_be_sent_again_and_every_endpoint_is_a_method() -> None:
    assert [name for name, one in calls().items() if one.method == "GET" and one.repeat not in {Repeat.SAFE, Repeat.POLL}] == []
    methods = [one for one in vars(Methods).values() if isinstance(one, Method)]
    told = {getattr(endpoints, name).__doc__ for name in calls()} - {one.__doc__ for one in methods}
    without = {getattr(endpoints, name).__doc__ for name in ("probe", "read_events")}
    assert told == without


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_both_clients_have_them(kind: type) -> None:
    assert callable(kind("http://localhost").create_schedule)

"""What the SDK calls its own: these names, in both clients alike."""

import inspect
from importlib.resources import files

import pytest

import worker_client
from tests.unit.worker_client.peer import Asked, Peer, Reply
from worker_client import AsyncClient, Client, Status

# A name that goes, or is called otherwise, breaks programs of others: then the major version rises.
NAMES = """
    AsyncClient Backoff ClaimedTask Client ConfigurationError Conflict CreateTask Crew Done Event Failed Forbidden
    FunctionRunner Hint HttpRunner LeaseLost NotFound OrchestratorError Overloaded ParkReason Parked Priority Progress
    RateLimited Released Reset Retries RunContext Runner ScriptRunner ServerUnreachable Shift Status Step Task TaskError
    Unauthorized Usage ValidationFailed Wanted Worker hire
"""
STATE = {"id": 7, "version": 1, "attempt": 0, "progress": None, "finished_at": None}


def test_the_names_are_these() -> None:
    assert sorted(worker_client.__all__) == sorted(NAMES.split()) == sorted(dir(worker_client))
    assert [name for name in worker_client.__all__ if not inspect.getdoc(getattr(worker_client, name))] == []


def test_both_clients_can_do_the_same() -> None:
    sync, other = ({name for name in dir(one) if not name.startswith("_")} for one in (Client, AsyncClient))
    assert sync == other
    for name in sync:
        one, two = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.getdoc(one) == inspect.getdoc(two), name
        if inspect.isfunction(one):
            assert inspect.signature(one).parameters.keys() == inspect.signature(two).parameters.keys(), name


def test_type_checkers_are_told_that_there_are_types() -> None:
    for package in ("worker_client", "orchestrator"):
        assert (files(package) / "py.typed").is_file()


@pytest.mark.anyio
async def test_wait_asks_until_it_has_ended_and_no_longer_than_it_may() -> None:
    states = [Status.WAITING, Status.RUNNING, Status.COMPLETED, Status.RUNNING, Status.COMPLETED]

    async def respond(asked: Asked) -> Reply:
        if asked.path.endswith("/status"):
            return Reply(200, data={**STATE, "status": states.pop(0)})
        return Reply(404, error=("NOT_FOUND", "there is no task 7", {}))

    with Peer(respond) as peer:
        async with AsyncClient(peer.url) as client:
            with pytest.raises(worker_client.NotFound):
                await client.wait(7)
            with pytest.raises(TimeoutError, match="task 7 has not ended"):
                await client.wait(7, within=0)
            # It has ended, which no time is too short to be told.
            with pytest.raises(worker_client.NotFound):
                await client.wait(7, within=0)
        asked = ["status", "status", "status", "7", "status", "status", "7"]
        assert [one.path.rpartition("/")[2] for one in peer.asked] == asked
        assert all(one.query["wait"] == ["25.0"] for one in peer.asked[:3])

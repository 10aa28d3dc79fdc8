"""Tasks of kind function, and which of them a worker does."""

import asyncio
import functools
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker_client.checkout import context_of
from tests.unit.worker_client.stage import on_stage
from worker_client.errors import ConfigurationError
from worker_client.runners.base import RunContext
from worker_client.runners.function import FunctionRunner, functions_named
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released


def add(one: int, other: int = 0, *more: int) -> int:
    return one + other + sum(more)


async def later(*, name: str, context: RunContext) -> str:
    await asyncio.sleep(0)
    return f"{name} {context.task.id}"


def where(context: RunContext, /) -> str:
    return str(context)


def anything(**given: Any) -> dict[str, Any]:
    return given


def in_two_steps(value: int) -> Any:
    async def rest() -> int:
        return value + 1

    return rest()


class Adder:
    async def __call__(self, one: int) -> int:
        return one + 1


def returns(value: Any) -> Callable[[], Any]:
    return lambda: value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


OFFERED: dict[str, Callable[..., Any]] = {
    "add": add,
    "later": later,
    "where": where,
    "anything": anything,
    "steps": in_two_steps,
    "adder": Adder(),
    "partial": functools.partial(add, 40),
    "thread": lambda: threading.current_thread().name,
    "fails": lambda: 1 // 0,
    "object": returns(object()),
    "deep": deep,
    "surrogate": returns("\udc80"),
    "parks": returns(Parked(question="which?")),
    "sized": max,
}


async def call(name: str, /, *args: Any, **kwargs: Any) -> Outcome:
    context = context_of(7, "/", kind="function", spec={"name": name, "args": list(args), "kwargs": kwargs})
    return await FunctionRunner(OFFERED).run(context)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "result"),
    [
        ("add", [1], {"other": 2}, 3),
        ("add", [1, 2, 3, 4], {}, 10),
        ("later", [], {"name": "x"}, "x 7"),
        ("anything", [], {"context": 1}, {"context": 1}),
        ("steps", [1], {}, 2),
        ("adder", [1], {}, 2),
        ("partial", [2], {}, 42),
        ("thread", [], {}, "task-7"),
        ("sized", [1, 2], {}, 2),
    ],
)
def test_functions_and_what_they_return(name: str, args: list[Any], kwargs: dict[str, Any], result: Any) -> None:
    assert asyncio.run(call(name, *args, **kwargs)) == Done(result)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "kind", "words"),
    [
        ("add", [], {}, "InvalidSpec", "missing a required argument: 'one'"),
        ("add", [1], {"third": 3}, "InvalidSpec", "third"),
        ("where", [], {}, "InvalidSpec", "missing a required"),
        ("object", [], {}, "ResultNotJson", "did its work, but"),
        ("deep", [], {}, "ResultNotJson", "did its work, but"),
        ("surrogate", [], {}, "ResultNotJson", "did its work, but"),
    ],
)
def test_calls_that_cannot_be_made_or_told(name: str, args: list[Any], kwargs: dict[str, Any], kind: str, words: str) -> None:
    outcome = asyncio.run(call(name, *args, **kwargs))
    assert isinstance(outcome, Failed)
    assert (outcome.type, outcome.retryable) == (kind, False)
    assert words in outcome.message


def test_a_task_cannot_give_a_context_of_its_own() -> None:
    assert asyncio.run(call("later", name="x", context="mine")) == Done("x 7")


def test_an_outcome_is_taken_as_it_is() -> None:
    assert asyncio.run(call("parks")) == Parked(question="which?")


def test_an_exception_is_a_failure(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with on_stage(tmp_path, runners=[FunctionRunner(OFFERED)]) as stage:
            stage.queue.add(7, tmp_path, kind="function", spec={"name": "fails"})
            verb, body = await stage.end_of(7)
            assert (verb, body["error"]["type"]) == ("fail", "ZeroDivisionError")
            stage.queue.add(8, tmp_path / "no-such-directory-is-needed", kind="function", spec={"name": "add", "args": [1]})
            assert (await stage.end_of(8)) == ("complete", {"lease": "8.1.ab", "result": 1})
            stage.queue.add(9, tmp_path, kind="function", spec={})
            assert (await stage.end_of(9))[1]["error"]["type"] == "InvalidSpec"

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["os:system", "subtract", "add.__globals__", ""])
def test_a_function_that_is_not_offered_is_for_others(tmp_path: Path, name: str) -> None:
    """It is given back before it is begun, so that the server slows it down, and this worker slows down as well."""

    async def scenario() -> None:
        assert isinstance(await call(name), Released)
        async with on_stage(tmp_path, runners=[FunctionRunner({"add": add})]) as stage:
            stage.queue.add(7, tmp_path, kind="function", spec={"name": name})
            verb, body = await stage.end_of(7)
            assert verb == "release"
            assert body["reason"] == f"this worker offers no function {name!r}; it has: add"
            assert stage.queue.beats == {}

    asyncio.run(scenario())


def test_names_of_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / "mine_of_this_test.py").write_text("class Tools:\n    def run(): return 1\n")
    found = functions_named(["json:dumps", "path=os.path:join", "mine=mine_of_this_test:Tools.run"])
    assert list(found) == ["json:dumps", "path", "mine"]
    assert found["mine"]() == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["json"], "names no function"),
        ([":dumps"], "names no function"),
        (["json:"], "names no function"),
        (["no_such_module_here:x"], "ModuleNotFoundError"),
        (["json:no_such"], "AttributeError"),
        (["json:__name__"], "of type str"),
        (["a=json:dumps", "a=json:loads"], "two functions are called a"),
    ],
)
def test_functions_that_cannot_be_offered(names: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        functions_named(names)


def test_a_module_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_for_this_test.py").write_text("1 / 0")
    with pytest.raises(ConfigurationError, match="ZeroDivisionError"):
        functions_named(["broken_for_this_test:x"])

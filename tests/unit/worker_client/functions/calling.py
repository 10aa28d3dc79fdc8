"""Calls of built-in functions, as tasks make them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.worker_client.checkout import context_of
from worker_client.client import AsyncClient
from worker_client.runners.base import RunContext
from worker_client.runners.function import FunctionRunner
from worker_client.runners.functions.offered import builtin
from worker_client.runners.functions.settings import FunctionSettings
from worker_client.runners.http import HttpRunner
from worker_client.runners.outcomes import Done, Failed, Outcome


class Lines:
    """What was logged, whatever stream it is of."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, text: str, _: object) -> None:
        self.lines.append(text)


class Functions:
    """All of them, for the directories below `root` and what the settings say."""

    def __init__(self, root: Path, *, http: HttpRunner | None = None, url: str | None = None, **settings: Any) -> None:
        self._offered = builtin(
            msgspec.convert(settings, FunctionSettings),
            directories=[str(root)],
            http=http or HttpRunner(),
            client=lambda: AsyncClient(url),
        )
        self.names = list(self._offered)
        self.logs = Lines()

    async def run(self, name: str, *args: Any, prepare: Callable[[RunContext], object] | None = None) -> Outcome:
        context = context_of(7, "/", kind="function", spec={"name": name, "args": list(args)})
        context.logs = self.logs  # type: ignore[assignment]
        if prepare is not None:
            prepare(context)
        return await FunctionRunner(self._offered).run(context)

    def call(self, name: str, *args: Any) -> Outcome:
        return asyncio.run(self.run(name, *args))

    def done(self, name: str, *args: Any) -> Any:
        outcome = self.call(name, *args)
        assert isinstance(outcome, Done), outcome
        return outcome.result

    def failed(self, name: str, *args: Any) -> Failed:
        outcome = self.call(name, *args)
        assert isinstance(outcome, Failed), outcome
        assert not outcome.retryable or outcome.type not in {"InvalidArgument", "PathRefused", "NotSetUp", "NotAllowed"}
        return outcome

"""What keys do."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from orchestrator.cli.exits import worded
from orchestrator.cli.watching.looking import ONCE, Looking
from orchestrator.cli.watching.model import Prompt, State
from worker_client import endpoints
from worker_client.client import AsyncClient
from worker_client.contract.enums import ParkReason
from worker_client.contract.tasks import Answer, Reason, Task
from worker_client.endpoints import Call
from worker_client.errors import OrchestratorError

_FAR: Final = 10_000
_PAGE: Final = 10
_STEPS: Final = {
    "up": -1, "k": -1, "down": 1, "j": 1, "page up": -_PAGE, "page down": _PAGE, "home": -_FAR, "g": -_FAR,
    "end": _FAR, "G": _FAR,
}  # fmt: skip


class Acting:
    """Changes the state by keys; what asks the server is begun, and tells in a message what came of it."""

    def __init__(
        self,
        client: AsyncClient,
        state: State,
        looking: Looking,
        begin: Callable[[Coroutine[Any, Any, None]], None],
        end: Callable[[], None],
    ) -> None:
        self._client = client
        self._state = state
        self._looking = looking
        self._begin = begin
        self._end = end

    def press(self, key: str) -> None:
        """Do what a key stands for, here and now."""
        state = self._state
        if state.prompt is not None:
            self._write(state.prompt, key)
            return
        state.message = ""
        if state.help:
            state.help = False
            if key != "q":
                return
        if key == "q":
            self._end()
        elif key == "?":
            state.help = True
        elif key == "/":
            state.prompt = Prompt("filter", "/", text=state.words)
        elif key in _STEPS:
            self._move(_STEPS[key])
        elif key in {"escape", "backspace"}:
            self._back()
        elif (task := self._task) is not None:
            self._on(task, key)

    @property
    def _task(self) -> Task | None:
        if self._state.detail is not None:
            return self._state.detail.task
        return None if self._state.row is None else self._state.row.task

    def _move(self, steps: int) -> None:
        detail = self._state.detail
        if detail is None:
            self._state.move(steps)
        else:
            detail.back = max(0, min(len(detail.lines), detail.back - steps))

    def _back(self) -> None:
        if self._state.detail is not None:
            self._state.detail = None
        else:
            self._state.words = ""

    def _on(self, task: Task, key: str) -> None:
        state, parked = self._state, task.parked
        if key == "enter":
            self._begin(self._open(task))
        elif key == "a" and parked is not None and parked.reason == ParkReason.QUESTION:
            options = "  ".join(f"{place}) {one}" for place, one in enumerate(parked.options, 1))
            state.prompt = Prompt("answer", f"answer to task {task.id}{options and f', {options}'}:", task)
        elif key == "a" and parked is not None and parked.reason in {ParkReason.APPROVAL, ParkReason.BUDGET}:
            state.prompt = Prompt("approve", f"approve task {task.id}?", task, confirms=True)
        elif key == "a":
            state.message = f"task {task.id} waits for nobody's answer"
        elif key == "c" and not task.status.final:
            state.prompt = Prompt("cancel", f"cancel task {task.id}?", task, confirms=True)
        elif key == "c":
            state.message = f"task {task.id} has ended: it is {task.status}"
        elif key == "r" and task.status.final:
            self._begin(self._send(endpoints.retry(task.id), f"task {task.id} begins again"))
        elif key == "r":
            state.message = f"task {task.id} is {task.status}: only tasks that have ended are retried"

    def _write(self, prompt: Prompt, key: str) -> None:
        state = self._state
        if key == "escape":
            state.prompt = None
        elif prompt.confirms:
            state.prompt = None
            if key in {"y", "Y"} and prompt.task is not None:
                self._confirmed(prompt.verb, prompt.task)
        elif key == "enter":
            state.prompt = None
            self._written(prompt)
        elif key == "backspace":
            prompt.text = prompt.text[:-1]
        elif key == "clear":
            prompt.text = ""
        elif len(key) == 1:
            prompt.text += key
        if prompt.verb == "filter" and state.prompt is not None:
            state.words = prompt.text
            state.settle()

    def _confirmed(self, verb: str, task: Task) -> None:
        if verb == "approve":
            self._begin(self._send(endpoints.approve(task.id), f"task {task.id} is approved"))
        else:
            self._begin(self._send(endpoints.cancel(task.id, Reason()), f"task {task.id} is cancelled"))

    def _written(self, prompt: Prompt) -> None:
        text, task = prompt.text.strip(), prompt.task
        if task is None:
            self._state.words = text
            self._state.settle()
        elif text:
            options = task.parked.options if task.parked is not None else []
            chosen = options[int(text) - 1] if text.isdecimal() and 1 <= int(text) <= len(options) else text
            self._begin(self._send(endpoints.answer(task.id, Answer(answer=chosen)), f"task {task.id} is answered"))

    async def _open(self, task: Task) -> None:
        try:
            self._state.detail = await self._looking.detail(task.id)
        except OrchestratorError as error:
            self._state.message = worded(error)

    async def _send(self, call: Call[Any], done: str) -> None:
        try:
            await self._client.send(call, ONCE)
        except OrchestratorError as error:
            self._state.message = worded(error)
        else:
            self._state.message = done

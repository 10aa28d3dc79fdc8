"""What a search has to find, task by task; and an index of words that is brought up to date without a server."""

import json

from orchestrator.domain import operations as ops
from orchestrator.domain.outcomes import Outcome
from orchestrator.domain.principal import Principal
from orchestrator.domain.task import TaskView
from orchestrator.domain.words import CHARACTERS, Texts, finds, phrases, words
from orchestrator.loops.indexer import Indexer
from tests.reading import read
from tests.rig import Rig
from worker_client.errors import OrchestratorError


def texts_of(view: TaskView) -> Texts:
    """What is searched of a task."""
    texts = {
        "title": view.head.title,
        "tags": json.dumps(view.head.tags, ensure_ascii=False, separators=(",", ":")),
        "prompt": view.inputs.prompt,
        "description": view.inputs.description,
        "result": view.outputs.result,
        "error": view.outputs.error,
    }
    return Texts(view.head.path, **{name: text and text[: CHARACTERS[name]] for name, text in texts.items()})


def has_words(view: TaskView, q: str) -> bool:
    """Whether a search finds a task."""
    asked = phrases(q)
    return bool(asked) and finds(asked, words(texts_of(view)))


class _Queue:
    """As much of a queue as the indexer sees."""

    def __init__(self, rig: Rig) -> None:
        self.reads = rig.store.reads
        self._rig = rig

    async def submit(self, op: ops.Operation, by: Principal) -> Outcome | OrchestratorError:
        commit = await self._rig.store.commit([ops.Submission(op, by)], self._rig.rules)
        return commit.decisions[0].outcome


def index(rig: Rig, times: int = 10_000) -> int:
    """Bring the index of words up to date, or go so many steps; how many those were."""
    indexer = Indexer(_Queue(rig))  # type: ignore[arg-type]
    for step in range(times):
        if not read(rig, indexer.once()):
            return step
    return times

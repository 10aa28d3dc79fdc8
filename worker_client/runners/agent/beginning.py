"""What a run of an agent begins with: a spec that holds, the session to go on with, and what is left to spend."""

import re
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from worker_client.contract.reports import Usage
from worker_client.contract.specs import AgentSpec
from worker_client.contract.tasks import ClaimedTask
from worker_client.runners.agent import prompt
from worker_client.runners.agent.protocol import Agent
from worker_client.sessions import recorded

_ARGUMENT: Final = re.compile(r"[A-Za-z0-9][\w.:/@\[\]+-]{0,254}")
"""What can be an argument of a command line without being taken for an option."""


class InvalidSpec(ValueError):
    """No attempt at this task can work; the message names the field."""


class Beginning(Struct, frozen=True, kw_only=True):
    """`session_id`: the session to resume, which had `used` so much; `prompt`: what it is told, or a new session."""

    prompt: str
    session_id: str | None = None
    used: Usage = field(default_factory=Usage)


def spec_of(task: ClaimedTask) -> AgentSpec:
    """The task's spec; raises InvalidSpec."""
    try:
        spec = msgspec.convert(task.spec or {}, AgentSpec)
    except msgspec.ValidationError as error:
        raise InvalidSpec(f"spec of an agent task: {error}") from error
    for name, value in (("model", spec.model), ("session_id", spec.session_id)):
        if value is not None and not _ARGUMENT.fullmatch(value):
            raise InvalidSpec(f"spec of an agent task: {name} is {value!r}; letters, digits and -_.:/@[]+ can be passed on")
    if not (task.prompt or "").strip():
        raise InvalidSpec("an agent task needs a prompt; this one has none")
    return spec


def budget_left(task: ClaimedTask, spec: AgentSpec) -> float | None:
    """US dollars that the task may still cost, with what approvals granted; None when nobody has said."""
    allowed = task.budget or spec.budget
    if allowed is None or allowed.cost_usd is None:
        return None
    # To as many digits as the agent is told: it refuses to begin with 0.
    return round(allowed.cost_usd - (task.usage.cost_usd if task.usage else 0.0), 4)


def beginning(task: ClaimedTask, spec: AgentSpec, *, agent: Agent, state: Path, directory: str) -> Beginning:
    """How to begin: in the task's session, else in the one that it follows up on, else in a new one.

    A session of another agent, or one made in another directory, can't be resumed here.
    """
    own = task.session_id is not None and task.agent in {None, agent.name}
    session_id = task.session_id if own else spec.session_id
    if session_id is None or not agent.resumes:
        return anew(task) if session_id or task.session_id else Beginning(prompt=prompt.for_new_session(task))
    session = recorded(state, agent.name, session_id)
    if (session is not None and not session.is_of(directory)) or not _ARGUMENT.fullmatch(session_id):
        return anew(task)
    told = prompt.for_same_session(task) if own else prompt.for_follow_up(task)
    return Beginning(prompt=told, session_id=session_id, used=session.used if session else Usage())


def anew(task: ClaimedTask) -> Beginning:
    """A new session instead of one that can't be resumed."""
    preface = prompt.SESSION_LOST if task.session_id else prompt.FOLLOW_UP_LOST
    return Beginning(prompt=prompt.for_new_session(task, preface=preface))

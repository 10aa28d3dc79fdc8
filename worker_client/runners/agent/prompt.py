"""What an agent is told: the task, or in a session that goes on, only what it doesn't know yet."""

from typing import Any, Final

from worker_client.contract.tasks import ClaimedTask
from worker_client.runners.agent.questions import HOW_TO_ASK
from worker_client.runners.verify import VERIFY_FAILED

MOST_ERROR: Final = 2000
"""Characters of the last attempt's failure that are told."""
MOST_OUTPUT: Final = 8000
"""Of a failed check's output, from its end."""
GO_ON: Final = "You were interrupted. Go on with the task where you stopped. If all of it is done already, say what you did."
SESSION_LOST: Final = """\
This task was begun before, in a session that no longer exists. Look at what is there in the directory (files, version control)
before you change anything: parts of it may be done."""
FOLLOW_UP_LOST: Final = """\
This task follows up on work in a session that no longer exists. Look at what is there in the directory (files, version control)
to find out what was done."""


def for_new_session(task: ClaimedTask, *, preface: str = "") -> str:
    """Everything; `preface`: why it isn't in the session where it belongs."""
    parts = [task.prompt or "", preface]
    parts += [_failure(task), _answer(task), HOW_TO_ASK]
    return "\n\n".join(part for part in parts if part)


def for_follow_up(task: ClaimedTask) -> str:
    """A new task in the session of another one."""
    return "\n\n".join([task.prompt or "", HOW_TO_ASK])


def for_same_session(task: ClaimedTask) -> str:
    """What is new since the session was left: the answer to its question, how its attempt failed, or that it may go on."""
    asked_in = _asked(task.checkpoint).get("attempt")
    # An attempt that has begun anew since knows the answer; one that goes on knows of what failed before.
    parts = [_answer(task)] if asked_in in {None, task.attempt} else []
    if task.answer is None or asked_in != task.attempt:
        parts.append(_failure(task))
    return "\n\n".join(part for part in parts if part) or GO_ON


def asking(task: ClaimedTask, question: str) -> dict[str, Any]:
    """The checkpoint that a task is parked with, so that its answer is known as one to this."""
    return {"asked": {"question": question, "attempt": task.attempt}}


def _asked(checkpoint: Any) -> dict[str, Any]:
    asked = checkpoint.get("asked") if isinstance(checkpoint, dict) else None
    return asked if isinstance(asked, dict) else {}


def _answer(task: ClaimedTask) -> str:
    if task.answer is None:
        return ""
    question = _asked(task.checkpoint).get("question") or task.question
    return f"You asked: {question}\n\nThe answer: {task.answer}" if question else f"The answer to your question: {task.answer}"


def _failure(task: ClaimedTask) -> str:
    error = task.error
    if error is None:
        return ""
    if error.type == VERIFY_FAILED:
        output = str(error.details.get("output_tail", ""))[-MOST_OUTPUT:]
        return (
            "Your work was checked after you said that it was done, and did not pass: "
            f"{error.message[:MOST_ERROR]}\n\nThe end of the check's output:\n\n```\n{output}\n```\n\n"
            "Find out why, mend it, and check it yourself before you say that it is done."
        )
    return f"The last attempt at this task failed: {error.type}: {error.message[:MOST_ERROR]}\n\nGo on from where it stopped."

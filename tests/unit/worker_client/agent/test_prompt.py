"""What agents are told, and how they ask."""

import time
from typing import Any

import msgspec
import pytest

from tests.unit.worker_client.peer import task_json
from worker_client.contract.tasks import ClaimedTask
from worker_client.runners.agent import prompt
from worker_client.runners.agent.questions import Question, question_in


def task(**facts: Any) -> ClaimedTask:
    claimed = {"lease": "7.1.ab", "delivery_no": 1, "attempt": 1, "prompt": "Fix the test.", **facts}
    return msgspec.convert(task_json(7, **claimed), ClaimedTask)


VERIFY = {
    "type": "VerifyFailed",
    "message": "`verify` ended with exit code 1",
    "details": {"output_tail": "x" * 9000 + "1 failed"},
}


def test_a_new_session_is_told_all() -> None:
    told = prompt.for_new_session(task())
    assert told.startswith("Fix the test.\n\n")
    assert "```ask" in told
    assert "failed" not in told
    told = prompt.for_new_session(task(error=VERIFY, answer="Red."), preface=prompt.SESSION_LOST)
    assert told.index("Fix the test.") < told.index("no longer exists") < told.index("1 failed") < told.index("Red.")


def test_a_session_that_goes_on_is_told_only_what_is_new() -> None:
    assert prompt.for_same_session(task()) == prompt.GO_ON
    told = prompt.for_same_session(task(attempt=2, error=VERIFY))
    assert "did not pass: `verify` ended with exit code 1" in told
    assert told.count("x") < 8100
    assert "1 failed\n```" in told
    told = prompt.for_same_session(task(attempt=2, error={"type": "Stalled", "message": "silent for 900 s"}))
    assert "Stalled: silent for 900 s" in told


def test_an_answer_is_to_the_question_that_was_asked() -> None:
    asked = prompt.asking(task(attempt=2), "Which colour?")
    answered = task(attempt=2, answer="Red.", checkpoint=asked, error=VERIFY)
    assert prompt.for_same_session(answered) == "You asked: Which colour?\n\nThe answer: Red."
    # The attempt with the answer failed: it is known by now, the failure isn't.
    later = task(attempt=3, answer="Red.", checkpoint=asked, error=VERIFY)
    assert "Red." not in prompt.for_same_session(later)
    assert "You asked: Which colour?\n\nThe answer: Red." in prompt.for_new_session(later)


@pytest.mark.parametrize("checkpoint", [None, 7, "text", [], {}, {"asked": 3}, {"asked": {}}])
def test_an_answer_that_nobody_knows_the_attempt_of_is_told(checkpoint: Any) -> None:
    claimed = task(answer="Red.", checkpoint=checkpoint)
    assert prompt.for_same_session(claimed) == "The answer to your question: Red."
    assert "The answer to your question: Red." in prompt.for_new_session(claimed)
    told = prompt.for_same_session(task(answer="Red.", checkpoint=checkpoint, question="Which colour?", error=VERIFY))
    assert told.startswith("You asked: Which colour?\n\nThe answer: Red.\n\nYour work was checked")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ('Hm.\n\n```ask\n{"question": "Which?", "options": ["a", "b"]}\n```', Question("Which?", ["a", "b"])),
        ('```ask\r\n{"question": "Which?"}\r\n```\r\n'.replace("\r", ""), Question("Which?")),
        ('  ``` ask\n{"question": "Which?"}\n  ```  \nThank you.', Question("Which?")),
        ('```ask\n{"question": "1?"}\n```\n```ask\n{"question": "2?"}\n```', Question("2?")),
        ("```ask\nWhich colour, please?\n```", Question("Which colour, please?")),
        ('```ask\n{"question": "broken\n```\n', Question('{"question": "broken')),
        ("```ask\nnot at the end\n```\nI went on.", None),
        ('```ask\n{"question": "  "}\n```', None),
        ('I documented how to ask:\n\n```ask\n{"question": "Which?"}\n```\n\n' + "All tests pass. " * 10, None),
        ('The file now says:\n````text\n```ask\n{"question": "Which?"}\n```\n````', None),
        ("```ask\n\n```", None),
        ("```python\nask()\n```", None),
        ("No question.", None),
        ("", None),
    ],
)
def test_questions(text: str, asked: Question | None) -> None:
    assert question_in(text) == asked


def test_a_text_full_of_beginnings_takes_no_time() -> None:
    began = time.process_time()
    assert question_in("```ask\n" * 50_000) is None
    assert time.process_time() - began < 1


def test_a_question_is_cut_to_what_the_server_takes() -> None:
    options = ", ".join(f'"{"o" * 2000}"' for _ in range(60))
    asked = question_in(f'```ask\n{{"question": "{"q" * 20_000}", "options": ["", {options}]}}\n```')
    assert asked is not None
    assert (len(asked.question), len(asked.options), {len(option) for option in asked.options}) == (10_000, 50, {1000})

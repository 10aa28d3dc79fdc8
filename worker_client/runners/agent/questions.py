"""How an agent that is run without a terminal asks a person: it ends its turn with a block that is marked `ask`."""

import re
from typing import Final

import msgspec
from msgspec import Struct

HOW_TO_ASK: Final = """\
Nobody reads along while you work. When you can't go on without a decision or a fact that only a person has, don't guess: end
your turn with exactly this block, and nothing after it. The answer comes as your next message.

```ask
{"question": "what you need to know, with all that is needed to answer it", "options": ["a short answer", "another one"]}
```

`options` may be left out. Ask only when you can't find out by yourself."""
MOST_CHARACTERS: Final = 10_000
MOST_OPTIONS: Final = 50
MOST_OPTION_CHARACTERS: Final = 1000
MOST_AFTER: Final = 100
"""Characters that an agent may add to its question, against what it was told."""
_BEGIN: Final = re.compile(r"^[ \t]*```[ \t]*ask[ \t]*\n", re.MULTILINE)
_END: Final = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)


class Question(Struct, frozen=True):
    """What an agent asked."""

    question: str
    options: list[str] = []


def question_in(text: str) -> Question | None:
    """The question that a turn ended with; a block that isn't as it should be is a question as it stands.

    A block that much follows is a quotation, as is one inside of another: agents write about it, too.
    """
    begins = [found.end() for found in _BEGIN.finditer(text)]
    if not begins or (end := _END.search(text, begins[-1])) is None:
        return None
    block, after = text[begins[-1] : end.start()], text[end.end() :].strip()
    try:
        asked = msgspec.json.decode(block, type=Question)
    except (msgspec.MsgspecError, UnicodeError):
        return _within_bounds(Question(block.strip())) if not after else None
    return _within_bounds(asked) if len(after) <= MOST_AFTER and not after.startswith(("`", "~")) else None


def _within_bounds(asked: Question) -> Question | None:
    question = asked.question.strip()[:MOST_CHARACTERS]
    options = [short for option in asked.options if (short := option.strip()[:MOST_OPTION_CHARACTERS])]
    return Question(question, options[:MOST_OPTIONS]) if question else None

"""What one rendering may take: steps of work, and characters made on the way; both are charged before they are spent."""

from typing import Any, Final

WORK: Final = 10_000_000
"""Characters handled in all; an item of a list or an object counts as `ITEM` of them."""
OUTPUT: Final = 1_000_000
"""Characters of a result."""
ITEM: Final = 20
TOKEN: Final = 100
"""What reading a word or a sign of a template counts as."""
DEEPEST: Final = 100
TOO_DEEP: Final = f"has a value that is nested more than {DEEPEST} deep: send a flatter one"
LARGEST: Final = 2**63 - 1
"""Of whole numbers, as in the contract."""


class TemplateError(Exception):
    """A template that cannot be used, or not with these values; the message says why."""


class Budget:
    """What is left of the work and of the output."""

    def __init__(self, work: int = WORK, output: int = OUTPUT) -> None:
        self._work = self._most_work = work
        self._output = self._most_output = output

    def charge(self, characters: int) -> None:
        """Pay for work before it is done. Raises TemplateError."""
        self._work -= characters
        if self._work < 0:
            raise TemplateError(
                f"takes too much work, more than {self._most_work:,} characters handled: give it less, or fewer filters"
            )

    def put_out(self, characters: int) -> None:
        """Pay for a part of the result. Raises TemplateError."""
        self._output -= characters
        if self._output < 0:
            raise TemplateError(
                f"comes to more than {self._most_output:,} characters: shorten what goes in, with `truncate` for example"
            )

    def items(self, number: int) -> None:
        """Pay for going through so many items. Raises TemplateError."""
        self.charge(number * ITEM)

    def weigh(self, value: Any, depth: int = 0) -> int:
        """The size of a value, about as JSON, which is paid for while it is measured. Raises TemplateError."""
        if isinstance(value, str):
            size = len(value) + 2
        elif isinstance(value, (dict, list)):
            if depth > DEEPEST:
                raise TemplateError(TOO_DEEP)
            self.items(len(value))
            inner = value.values() if isinstance(value, dict) else value
            names = sum(map(len, value)) if isinstance(value, dict) else 0
            size = names + ITEM * (1 + len(value)) + sum(self.weigh(one, depth + 1) for one in inner)
        else:
            size = ITEM
        self.charge(size)
        return size

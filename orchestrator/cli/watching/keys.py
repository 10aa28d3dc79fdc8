"""What a terminal sends, as keys: sans I/O."""

import codecs
import re
from typing import Final

_NAMES: Final = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b[5~": "page up", "\x1b[6~": "page down",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x15": "clear", "\x1b": "escape", "\t": "tab",
}  # fmt: skip
_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b|.", re.DOTALL)


class Keys:
    """Takes bytes as they come; a character stands for itself, what is not known for nothing."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, sent: bytes) -> list[str]:
        """The keys of these bytes; an escape sequence comes in one piece."""
        pressed = []
        for sequence in _SEQUENCE.findall(self._decoder.decode(sent)):
            name = _NAMES.get(sequence, sequence)
            if name in _NAMES.values() or (len(name) == 1 and name.isprintable()):
                pressed.append(name)
        return pressed

"""A terminal that is taken over, and given back as it was: at the end, at a signal, and while the program is stopped."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

from rich.console import Console
from rich.text import Text

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""Another screen, no cursor, no wrapping of long lines."""
_LEAVE: Final = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"


class Terminal:
    """Standard output, and standard input for keys where that is a terminal, too."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._out = sys.stdout.fileno()
        self.keys: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines; of a terminal that doesn't tell, what is usual."""
        width, height = os.get_terminal_size(self._out)
        usual = self._console.size
        return (width, height) if width and height else (usual.width, usual.height)

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Take it over."""
        if self.keys is not None:
            import termios
            import tty

            self._before = termios.tcgetattr(self.keys)
            tty.setcbreak(self.keys)
        self._write(_ENTER)

    def leave(self) -> None:
        """Give it back."""
        self._write(_LEAVE)
        if self.keys is not None and self._before is not None:
            import termios

            termios.tcsetattr(self.keys, termios.TCSADRAIN, self._before)
            self._before = None

    def stop(self) -> None:
        """Give it back while whoever sits there does something else with it."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()

    def draw(self, lines: Sequence[Text], width: int) -> None:
        """Show lines, as many as there are on the screen."""
        drawn = []
        for line in lines:
            with self._console.capture() as captured:
                self._console.print(line, end="", no_wrap=True, overflow="crop", crop=True, width=width)
            drawn.append(captured.get())
        self._write("\x1b[H" + "\x1b[K\r\n".join(drawn) + "\x1b[K\x1b[J")

    def _write(self, text: str) -> None:
        left = text.encode(errors="replace")
        try:
            while left:
                left = left[os.write(self._out, left) :]
        except OSError:
            # Nobody sees it any more: what reads the keys will know.
            return

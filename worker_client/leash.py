"""For a worker that belongs to another process: noticing that this has ended, however it did."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable


def hold(ended: Callable[[], None]) -> None:
    """Call `ended` in the running loop when standard input ends, whose other end the process has that this one belongs to."""
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()

    def watch() -> None:
        # sys.stdin would have a lock that the interpreter wants when it ends.
        while os.read(fd, 4096):
            pass
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended)

    # Not a reader of the loop: on some systems it takes no pipes, and no thread but a daemon's could be left waiting.
    threading.Thread(target=watch, name="leash", daemon=True).start()

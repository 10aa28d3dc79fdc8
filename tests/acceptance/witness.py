"""What an agent with shells of its own is to a test: starts processes that leave it, and all of them write down when they ran.

Run in a work directory: the first run there never ends, the next ones do. Each line of `seen` is a run and a wall-clock time.
"""

import os
import signal
import subprocess
import sys
import time

RUN = os.environ["ORCHESTRATOR_TREE"]
SHELL = "import runpy, sys; sys.argv = [sys.argv[1], 'shell']; runpy.run_path(sys.argv[0], run_name='__main__')"


def tick(times: float) -> None:
    """Write down that we are here, again and again."""
    seen = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while times:
        os.write(seen, f"{RUN} {time.time():.3f} {os.getpid()}\n".encode())
        time.sleep(0.02)
        times -= 1


def leave() -> None:
    """Become a process of its own session whose parent is gone, deaf to all that can be ignored, without what it inherited."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.closerange(3, 64)
    tick(float("inf"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        leave()
    try:
        os.close(os.open("begun", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        tick(10)
        sys.exit(0)
    subprocess.run([sys.executable, __file__, "shell"], check=True)
    subprocess.Popen([sys.executable, "-c", SHELL, __file__], start_new_session=True)
    tick(float("inf"))

"""Stands between a worker and the program it runs, as a process of its own, so that nothing of the program is ever left behind.

Started as `python -I -S .../guardian MARK PROGRAM [ARGUMENT ...]`, with next to no environment: nothing that the program is
given acts on it. POSIX, standard library only. On Linux it is a child subreaper: whatever the program starts, however often it
forks or changes its session, stays below it. It ends everything below it when the program has ended, when it is told to, when
its worker has died (the control pipe on standard input closes), when the time that the worker last granted runs out, and when
all of it together has more memory than it may have.

Control, one per line: first the orders (`orders.py`), then any of `stop SECONDS` (SIGTERM, and SIGKILL after so many seconds)
and `live TIME` (SIGKILL at that time of the boot clock). When all is gone it writes one line to the status pipe: `PID STATUS
CPU_SECONDS PEAK_BYTES EXCEEDED_BYTES`, the raw wait status, and the memory that was too much, or 0.
"""

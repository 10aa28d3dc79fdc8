"""Servers with very many tasks, a tenth of which wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import bulk
from tests.browser.sites import Site, site


@contextmanager
def crowded(folder: Path, tasks: int) -> Iterator[Site]:
    """A server with so many tasks, in a hundredth as many directories: `/bulk/0` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting = tasks // 10
    bulk.fill(folder / "tasks.db", waiting=waiting, finished=tasks - waiting, directories=max(1, tasks // 100))
    with site(folder) as running:
        yield running

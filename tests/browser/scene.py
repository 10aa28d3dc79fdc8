"""A day in the life of thirty agents on forty checkouts, made through the public API of a server whose time is in our hand.

Always the same tasks, with the same words and amounts; and as it ends now, the pages of it look as on any other day.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct, structs

from orchestrator.store.sqlite.engine import sqlite3
from tests.browser import plans
from tests.browser.director import DAY_MINUTES, DAYS, Director
from tests.browser.sites import Site, site
from tests.browser.then import VARIABLE, Shift
from worker_client import Client


class Scene(Struct):
    """What is there to be looked at, by the names that tests use.

    `tasks`: `running` (the longest), `question`, `question_zh`, `approval`, `failed` (with several attempts and much output),
    `blocked`, `quota`, `paused`, `waiting`, `done`.
    """

    site: Site
    director: Director
    tasks: dict[str, int]
    workflows: dict[str, str]
    schedules: dict[str, int]
    runs: dict[str, int]

    @property
    def url(self) -> str:
        """Where it is."""
        return self.site.url

    @property
    def client(self) -> Client:
        """The SDK's client of it."""
        return self.site.client


@contextmanager
def copied(scene: Scene, folder: Path) -> Iterator[Scene]:
    """The same on a server of its own, for who changes something."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(scene.site.folder / "commands", folder / "commands")
    with closing(sqlite3.connect(scene.site.database)) as there, closing(sqlite3.connect(folder / "tasks.db")) as here:
        there.backup(here)
    with site(folder) as running:
        director = Director(running, scene.director.shift)
        director.ask()
        yield structs.replace(scene, site=running, director=director)


def play(site: Site, shift: Shift) -> Scene:
    """All of it; ends with the server in the present."""
    client, director = site.client, Director(site, shift)
    plans.commands(client)
    workflows = plans.workflows(client)
    schedules: dict[str, int] = {}
    director.past()
    director.runs(workflows)
    for part in (director.running, director.parked, director.failed, director.waiting):
        part()

    def began() -> None:
        schedules.update(plans.schedules(client, workflows["nightly"]))
        plans.deploy(client, workflows.values())
        director.fires(schedules)

    director.plan(100, began)
    director.plan(60, partial(plans.deliveries, site, workflows["review"]))
    director.act()
    director.settle()
    return Scene(
        site=site, director=director, tasks=director.tasks, workflows=workflows, schedules=schedules, runs=director.started
    )


@contextmanager
def playing(folder: Path) -> Iterator[Scene]:
    """A server with the scene on it."""
    folder.mkdir(parents=True, exist_ok=True)
    shift = Shift(folder / "shift")
    shift.to(round(-60_000 * DAYS * DAY_MINUTES))
    with site(folder, module="tests.browser.then", **{VARIABLE: str(shift.path)}) as running:
        yield play(running, shift)

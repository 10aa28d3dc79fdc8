"""Which migrations a database still needs; one that a later version has changed is refused."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from orchestrator import __version__
from orchestrator.store.protocol import DatabaseInUseError

MIGRATED_BY: Final = "migrated_by"
"""The key in `meta` with the version of the program that applied the last migration."""


class NewerSchemaError(DatabaseInUseError):
    """A later version has changed the tables, whose rows this one could misread."""


def files(directory: Path) -> list[Path]:
    """The migrations of a directory in their order."""
    return sorted(directory.glob("[0-9]*.sql"))


def needed(shown: str, known: Sequence[Path], applied: Iterable[str], by: str | None) -> list[Path]:
    """Those of the known migrations that were not applied yet; `by`: what MIGRATED_BY says. Raises NewerSchemaError."""
    applied = set(applied)
    if unknown := sorted(applied - {file.stem for file in known}):
        later = f"version {by}" if by else "a later version"
        raise NewerSchemaError(
            f"{shown} was brought up to date by {later} (migration {unknown[-1]}); this is version {__version__}, "
            f"which knows them up to {known[-1].stem}: use {later}, or serve a backup that was made before the upgrade"
        )
    return [file for file in known if file.stem not in applied]

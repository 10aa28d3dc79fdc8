"""The ends of a copy, by their addresses."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from orchestrator.settings import database_path, without_password
from orchestrator.store.copying.end import CopyFailedError, End
from worker_client.errors import NotFound, ValidationFailed


@contextmanager
def opened(source: str, target: str) -> Iterator[tuple[End, End]]:
    """Both databases of a copy, each kept from everybody else; the target is made or migrated if need be.

    Raises ValidationFailed, NotFound, DatabaseInUseError, NewerSchemaError, CopyFailedError.
    """
    if _shown(source, "--from") == _shown(target, "--to"):
        raise ValidationFailed(f"{_shown(target, '--to')} is the source itself: name another database", field="--to")
    with closing(_end(source, writes=False)) as one:
        if not one.columns("meta"):
            raise NotFound(f"there are no tasks at {one.shown}: no server has ever used this database")
        one.refuse_newer()
        with closing(_end(target, writes=True)) as other:
            yield one, other


def _shown(url: str, field: str) -> str:
    """An address in words, the same for the same file. Raises ValidationFailed."""
    try:
        path = database_path(url)
    except ValueError as error:
        raise ValidationFailed(f"{without_password(url)!r}: {error}", field=field) from None
    return without_password(url) if path is None else str(path.resolve())


def _end(url: str, *, writes: bool) -> End:
    path = database_path(url)
    if path is not None:
        from orchestrator.store.copying.sqlite import SQLiteEnd  # noqa: PLC0415 - as the other one

        return SQLiteEnd(path, writes=writes)
    try:
        from orchestrator.store.copying.postgres import PostgresEnd  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError:
        raise CopyFailedError("the library for PostgreSQL is missing: pip install 'task-orchestrator[postgres]'") from None
    return PostgresEnd(url, writes=writes)

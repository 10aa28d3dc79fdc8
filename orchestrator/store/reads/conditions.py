"""WHERE clauses: conditions with their parameters, composed."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from orchestrator.domain.moments import millis
from orchestrator.domain.paths import ancestors, span
from orchestrator.domain.principal import PathScope, Pattern
from orchestrator.store.reads.dialect import Dialect
from orchestrator.store.reads.values import PRIORITIES
from worker_client.contract.attempts import ListAttempts
from worker_client.contract.enums import AttemptOutcome
from worker_client.contract.tasks import TaskFilter


class Condition(NamedTuple):
    """A part of a WHERE clause and the values of its placeholders."""

    sql: str
    params: tuple[Any, ...] = ()


ALWAYS = Condition("TRUE")
NEVER = Condition("FALSE")


NEEDS_PERSON = Condition("(t.hold IN ('question', 'approval') OR (t.hold = 'budget' AND t.hold_until IS NULL))")
"""Of the parked tasks (t) those that go on when a person does something."""


def all_of(conditions: Iterable[Condition]) -> Condition:
    """All conditions together."""
    parts = [condition for condition in conditions if condition != ALWAYS]
    if not parts:
        return ALWAYS
    if NEVER in parts:
        return NEVER
    return Condition(" AND ".join(part.sql for part in parts), tuple(param for part in parts for param in part.params))


def any_of(conditions: Sequence[Condition]) -> Condition:
    """At least one of the conditions; nested in halves, because SQLite bounds the depth of an expression."""
    if not conditions:
        return NEVER
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    left, right = any_of(conditions[:middle]), any_of(conditions[middle:])
    return Condition(f"({left.sql} OR {right.sql})", left.params + right.params)


def one_of(column: str, values: Collection[Any]) -> Condition:
    """The column has one of the values."""
    if not values:
        return NEVER
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def disjoint(patterns: Iterable[Pattern]) -> list[Pattern]:
    """The same directories without those that others cover already."""
    wanted = sorted(set(patterns), key=lambda pattern: (pattern.path, pattern.below))
    below = {pattern.path for pattern in wanted if pattern.below}
    return [
        pattern
        for pattern in wanted
        if below.isdisjoint(ancestors(pattern.path)[1:]) and (pattern.below or pattern.path not in below)
    ]


def pieces(pattern: Pattern, column: str) -> list[Condition]:
    """A pattern as conditions that exclude each other, each one range of an index."""
    at = Condition(f"{column} = ?", (pattern.path,))
    return [at, Condition(f"{column} > ? AND {column} < ?", span(pattern.path))] if pattern.below else [at]


def within(patterns: Iterable[Pattern] | None, column: str) -> Condition:
    """The column's path lies in one of the patterns; None: anywhere."""
    if patterns is None:
        return ALWAYS
    found = [Condition(f"({part.sql})", part.params) for pattern in disjoint(patterns) for part in pieces(pattern, column)]
    return any_of(found)


def reaching(visible: PathScope, column: str, dialect: Dialect) -> Condition:
    """What the column says, a JSON list of patterns (NULL: everywhere), lies within what somebody sees."""
    if visible.patterns is None:
        return ALWAYS
    # A pattern that ends with /** is within another that does as if it were a path below that.
    inside = within(visible.patterns, dialect.bytewise.format("p.value"))
    rows = dialect.each.format(column)
    return Condition(f"({column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {rows} p WHERE NOT {inside.sql}))", inside.params)


def asked(paths: Iterable[str] | None, *, recursive: bool) -> list[Pattern] | None:
    """The directories of a filter; None when it names none."""
    return None if paths is None else [Pattern(path, recursive) for path in paths]


def of_tasks(where: TaskFilter, dialect: Dialect) -> Condition:
    """The tasks (t) of a filter, whatever their status, path and words.

    `tag` wants all of them, a time range includes its beginning.
    """
    parts = []
    if where.priority is not None:
        parts.append(one_of("t.priority", [PRIORITIES.index(priority) for priority in where.priority]))
    if where.kind is not None:
        parts.append(one_of("t.kind", where.kind))
    tags = dialect.each.format("t.tags")
    parts += [Condition(f"EXISTS (SELECT 1 FROM {tags} g WHERE g.value = ?)", (tag,)) for tag in where.tag or ()]
    parts += [
        Condition(f"t.{column} = ?", (value,))
        for column in ("agent", "worker_id", "schedule_id", "workflow_id", "run_id")
        if (value := getattr(where, column)) is not None
    ]
    if where.waits_for is not None:
        edges = "SELECT child_id FROM dependencies WHERE parent_id = ? AND satisfied = 0"
        parts.append(Condition(f"t.id IN ({edges})", (where.waits_for,)))
    if where.needs_person:
        parts.append(NEEDS_PERSON)
    if where.created_after is not None:
        parts.append(Condition("t.created_at >= ?", (millis(where.created_after),)))
    if where.created_before is not None:
        parts.append(Condition("t.created_at < ?", (millis(where.created_before),)))
    return all_of(parts)


def of_attempts(query: ListAttempts, visible: PathScope) -> Condition:
    """The ended attempts (a) of a query that are visible; a time range includes its beginning."""
    parts = _attempts(query, visible, "a", "a.task_id")
    if query.outcome is not None:
        ended = [str(outcome) for outcome in query.outcome if outcome is not AttemptOutcome.RUNNING]
        parts.append(one_of("a.outcome", ended))
    return all_of(parts)


def of_running(query: ListAttempts, visible: PathScope) -> Condition:
    """The running tasks (t) whose attempt the query asks for."""
    if query.outcome is not None and AttemptOutcome.RUNNING not in query.outcome:
        return NEVER
    return all_of([Condition("t.status = 'running'"), *_attempts(query, visible, "t", "t.id")])


def _attempts(query: ListAttempts, visible: PathScope, table: str, task_id: str) -> list[Condition]:
    path = f"{table}.path"
    parts = [within(asked(query.work_path, recursive=query.recursive), path), within(visible.patterns, path)]
    if query.task_id is not None:
        parts.append(Condition(f"{task_id} = ?", (query.task_id,)))
    if query.worker_id is not None:
        parts.append(Condition(f"{table}.worker_id = ?", (query.worker_id,)))
    if query.started_after is not None:
        parts.append(Condition(f"{table}.started_at >= ?", (millis(query.started_after),)))
    if query.started_before is not None:
        parts.append(Condition(f"{table}.started_at < ?", (millis(query.started_before),)))
    return parts

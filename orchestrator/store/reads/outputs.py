"""Where in the output of a task something is."""

from typing import Final

from orchestrator.store.reads.values import Reading
from worker_client.contract.logs import LogLease

_LEASES: Final = (
    "WITH RECURSIVE l(lease_no) AS ("
    " SELECT min(lease_no) FROM task_logs WHERE task_id = ? UNION ALL"
    " SELECT (SELECT min(n.lease_no) FROM task_logs n WHERE n.task_id = ? AND n.lease_no > l.lease_no) FROM l"
    " WHERE l.lease_no IS NOT NULL)"
    " SELECT l.lease_no,"
    " (SELECT a.number FROM task_logs a WHERE a.task_id = ? AND a.lease_no = l.lease_no ORDER BY a.line LIMIT 1),"
    " (SELECT z.number FROM task_logs z WHERE z.task_id = ? AND z.lease_no = l.lease_no ORDER BY z.line DESC LIMIT 1)"
    " FROM l WHERE l.lease_no IS NOT NULL LIMIT 1000"
)
"""A step from lease to lease, however many lines each has."""


class OutputReads(Reading):
    """Queries for the output of a task that somebody may see."""

    async def log_leases(self, task_id: int) -> list[LogLease]:
        """Of each lease with output its first and its last line."""
        rows = await self._fetch(_LEASES, (task_id,) * 4)
        return [LogLease(lease_no=lease_no, first_line=first, last_line=last) for lease_no, first, last in rows]

    async def log_hits(self, task_id: int, words: str, after: int, until: int, limit: int) -> list[int]:
        """The numbers of the lines in (after, until] that contain a text, whatever the case of its ASCII letters."""
        literal = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        text = self._dialect.bytewise.format("text")
        rows = await self._fetch(
            "SELECT number FROM task_logs WHERE task_id = ? AND number > ? AND number <= ?"
            f" AND {text} {self._dialect.like} ? ESCAPE '\\' ORDER BY number LIMIT ?",
            (task_id, after, until, f"%{literal}%", limit),
        )
        return [number for (number,) in rows]

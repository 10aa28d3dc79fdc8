"""The graph of dependencies around a task."""

import json
from collections.abc import Iterable
from typing import Final

from orchestrator.domain.principal import PathScope
from orchestrator.store.reads.conditions import within
from orchestrator.store.reads.values import Reading
from worker_client.contract.enums import Status
from worker_client.contract.histories import GraphEdge, GraphTask, TaskGraph

_EDGES: Final = "SELECT parent_id, child_id, satisfied FROM dependencies WHERE"
_MOST_EDGES: Final = 4
"""For each task that may be shown: a task may depend on 1000 others."""


class GraphReads(Reading):
    """Queries for dependencies."""

    async def graph(self, task_id: int, depth: int, limit: int, visible: PathScope) -> TaskGraph | None:
        """A task, those before it and those after it, up to `depth` steps away; None when it cannot be seen."""
        nodes = {node.id: node for node in await self._nodes([task_id], visible)}
        if not nodes:
            return None
        edges: dict[tuple[int, int], GraphEdge] = {}
        complete = True
        for towards in ("parent", "child"):
            reached = [task_id]
            for _ in range(depth):
                found = await self._edges(reached, towards, limit * _MOST_EDGES)
                complete = complete and len(found) < limit * _MOST_EDGES
                ids = sorted({getattr(edge, towards) for edge in found} - nodes.keys())
                room = max(0, limit - len(nodes))
                new = await self._nodes(ids[:room], visible)
                complete = complete and len(ids) <= room
                nodes |= {node.id: node for node in new}
                edges |= {(edge.parent, edge.child): edge for edge in found}
                reached = [node.id for node in new]
                if not reached:
                    break
            else:
                complete = complete and not await self._edges(reached, towards, 1)
        shown = [edge for edge in edges.values() if edge.parent in nodes and edge.child in nodes]
        return TaskGraph(nodes=list(nodes.values()), edges=shown, complete=complete)

    async def _edges(self, ids: Iterable[int], towards: str, limit: int) -> list[GraphEdge]:
        """The edges that lead from these tasks to their parents, or to their children."""
        asked = json.dumps(list(ids))
        among = f"SELECT CAST(value AS BIGINT) FROM {self._dialect.each.format('?')}"
        if towards == "parent":
            rows = await self._fetch(f"{_EDGES} child_id IN ({among}) LIMIT ?", (asked, limit))
        else:
            # An index each for those that wait and those that wait no longer.
            both = [f"{_EDGES} satisfied = {one} AND parent_id IN ({among})" for one in (0, 1)]
            rows = await self._fetch(f"{' UNION ALL '.join(both)} LIMIT ?", (asked, asked, limit))
        return [GraphEdge(parent=parent, child=child, satisfied=bool(satisfied)) for parent, child, satisfied in rows]

    async def _nodes(self, ids: list[int], visible: PathScope) -> list[GraphTask]:
        scope = within(visible.patterns, "path")
        among = f"SELECT CAST(value AS BIGINT) FROM {self._dialect.each.format('?')}"
        rows = await self._fetch(
            f"SELECT id, title, kind, status, path, host FROM tasks WHERE id IN ({among}) AND {scope.sql} ORDER BY id",
            (json.dumps(ids), *scope.params),
        )
        return [
            GraphTask(id=task_id, title=title, kind=kind, status=Status(status), work_directory=path, host=host)
            for task_id, title, kind, status, path, host in rows
        ]

-- What only SQLite says so: lists travel as JSON, and distinct streams are found by a loose index scan.

-- name: heads
SELECT {head} FROM tasks t WHERE t.id IN (SELECT value FROM json_each(?));

-- name: bodies
SELECT i.task_id, {inputs}, {outputs} FROM task_inputs i LEFT JOIN task_outputs o ON o.task_id = i.task_id
WHERE i.task_id IN (SELECT value FROM json_each(?));

-- name: parents
SELECT child_id, parent_id, satisfied FROM dependencies WHERE child_id IN (SELECT value FROM json_each(?));

-- name: open_edges
SELECT parent_id, child_id FROM dependencies
WHERE satisfied = 0 AND parent_id IN (SELECT value FROM json_each(?)) ORDER BY child_id;

-- name: streams_at
WITH RECURSIVE first (id) AS (
    SELECT (SELECT id FROM tasks WHERE status = 'waiting' AND path = ?1 ORDER BY kind, host LIMIT 1)
    UNION ALL
    SELECT (SELECT n.id FROM tasks n WHERE n.status = 'waiting' AND n.path = ?1 AND (n.kind, n.host) > (t.kind, t.host)
            ORDER BY n.kind, n.host LIMIT 1)
    FROM first JOIN tasks t ON t.id = first.id
)
SELECT t.path, t.kind, t.host FROM first JOIN tasks t ON t.id = first.id;

-- name: streams_below
WITH RECURSIVE first (id) AS (
    SELECT (SELECT id FROM tasks WHERE status = 'waiting' AND path > ?1 AND path < ?2 ORDER BY path, kind, host LIMIT 1)
    UNION ALL
    SELECT (SELECT n.id FROM tasks n WHERE n.status = 'waiting' AND (n.path, n.kind, n.host) > (t.path, t.kind, t.host)
            AND n.path < ?2 ORDER BY n.path, n.kind, n.host LIMIT 1)
    FROM first JOIN tasks t ON t.id = first.id
)
SELECT t.path, t.kind, t.host FROM first JOIN tasks t ON t.id = first.id;

-- name: leased_shared
SELECT EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode > 0 AND path IN (SELECT value FROM json_each(?1))
      AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
) OR EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode > 0 AND path > ?2 AND path < ?3 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
);

-- name: leased_exclusive
SELECT EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode = 2 AND path IN (SELECT value FROM json_each(?1))
      AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
) OR EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode = 2 AND path > ?2 AND path < ?3 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
);

-- name: owned
SELECT EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode = 2 AND path IN (SELECT value FROM json_each(?1))
      AND (?2 = '' OR lease_host = '' OR lease_host = ?2)
);

-- name: last_ids
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);

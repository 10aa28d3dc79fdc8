-- What people and monitors ask, of every dialect. Conditions that depend on the question are composed in store/reads/.
-- {each ?1} and {order index}: see store/reads/dialect.py.

-- name: waiting_streams
-- The first waiting task of every stream (path, kind, host, agent) of the listed paths, and the least ready_at of the first ?2
-- tasks of the stream. Ranks put priorities before each other, so that the first in rank need not be the oldest. A comparison of rows
-- would have SQLite look at every task of the stream before.
WITH RECURSIVE first (id) AS (
    SELECT (SELECT t.id FROM tasks t WHERE t.status = 'waiting' AND t.path = w.value ORDER BY t.kind, t.host, t.agent, t.rank, t.id LIMIT 1)
    FROM {each ?1} w
    UNION ALL
    SELECT coalesce(
        (SELECT n.id FROM tasks n
         WHERE n.status = 'waiting' AND n.path = t.path AND n.kind = t.kind AND n.host = t.host AND n.agent > t.agent
         ORDER BY n.agent, n.rank, n.id LIMIT 1),
        (SELECT n.id FROM tasks n WHERE n.status = 'waiting' AND n.path = t.path AND n.kind = t.kind AND n.host > t.host
         ORDER BY n.host, n.agent, n.rank, n.id LIMIT 1),
        (SELECT n.id FROM tasks n WHERE n.status = 'waiting' AND n.path = t.path AND n.kind > t.kind
         ORDER BY n.kind, n.host, n.agent, n.rank, n.id LIMIT 1)
    )
    FROM first JOIN tasks t ON t.id = first.id
)
SELECT t.path, t.host, t.rank, t.id, (
    SELECT min(s.ready_at) FROM (
        SELECT n.ready_at FROM tasks n
        WHERE n.status = 'waiting' AND n.path = t.path AND n.kind = t.kind AND n.host = t.host AND n.agent = t.agent
        ORDER BY n.rank, n.id LIMIT ?2
    ) s
)
FROM first JOIN tasks t ON t.id = first.id;

-- name: first_of_directories
-- Of each of the listed paths the task that a worker would get first of all its streams' first.
SELECT t.path, t.host, t.id, t.kind, t.tags, t.agent, t.ready_at FROM {each ?1} w
JOIN tasks t ON t.id = (
    SELECT n.id FROM tasks n WHERE n.status = 'waiting' AND n.path = w.value ORDER BY n.kind, n.host, n.agent, n.rank, n.id LIMIT 1
);

-- name: unfollowed
SELECT EXISTS (
    SELECT 1 FROM events
    WHERE id > coalesce((SELECT last_event FROM consumers WHERE name = 'advancer'), 0)
      AND (run_id IS NOT NULL OR schedule_id IS NOT NULL)
);

-- name: first_waiting
SELECT t.ready_at FROM tasks t
WHERE t.status = 'waiting' AND t.status NOT IN ('completed', 'cancelled') AND (t.status || '') NOT IN ('completed', 'cancelled')
ORDER BY {order tasks_unfinished} LIMIT 1;

-- name: parked_holds
-- The oldest ?2 parked tasks by what they wait for, and how many have since before ?1.
SELECT s.hold, count(*), coalesce(sum(CASE WHEN s.updated_at < ?1 THEN 1 ELSE 0 END), 0) FROM (
    SELECT t.hold, t.updated_at FROM tasks t
    WHERE t.status = 'parked' AND t.status NOT IN ('completed', 'cancelled') AND (t.status || '') NOT IN ('completed', 'cancelled')
    ORDER BY {order tasks_unfinished} LIMIT ?2
) s GROUP BY s.hold ORDER BY s.hold;

-- name: silent
-- Of ?2 running tasks, those that began before ?1 and have put out nothing since.
SELECT count(*) FROM (
    SELECT t.id, t.started_at FROM tasks t WHERE t.status = 'running' ORDER BY t.expire_at LIMIT ?2
) r
WHERE r.started_at < ?1
  AND coalesce((SELECT l.at FROM task_logs l WHERE l.task_id = r.id ORDER BY l.number DESC LIMIT 1), 0) < ?1;

-- name: late_schedules
SELECT count(*), min(s.fire_at) FROM (
    SELECT fire_at FROM schedules
    WHERE fire_at IS NOT NULL AND fire_at < ?1 AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'scheduler' AND value = 'stopped')
    ORDER BY fire_at LIMIT ?2
) s;

-- name: waiting_total
SELECT coalesce(sum(n), 0) FROM task_counts WHERE status = 'waiting';

-- name: waiting_directories
SELECT path, host, sum(n) AS waiting, count(*) FROM task_counts WHERE status = 'waiting' AND n > 0
GROUP BY path, host ORDER BY waiting DESC, path, host LIMIT ?;

-- name: open_parents
SELECT d.parent_id, p.status, p.path FROM dependencies d LEFT JOIN tasks p ON p.id = d.parent_id
WHERE d.child_id = ? AND d.satisfied = 0 ORDER BY d.parent_id LIMIT ?;

-- name: overlapping_leases
-- ?1 the path and those above it, ?2 and ?3 the span below it, ?4 a host (empty: any), ?5 the task itself.
SELECT id, path, lease_host, lease_mode, lease_ends_at FROM tasks
WHERE status = 'running' AND lease_mode > 0 AND id <> ?5 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
  AND path IN (SELECT value FROM {each ?1})
UNION ALL
SELECT id, path, lease_host, lease_mode, lease_ends_at FROM tasks
WHERE status = 'running' AND lease_mode > 0 AND id <> ?5 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
  AND path > ?2 AND path < ?3
ORDER BY id LIMIT ?6;

-- name: overlapping_exclusive
-- ?1 the path and those above it, ?2 and ?3 the span below it, ?4 a host (empty: any), ?5 the task itself.
SELECT id, path, lease_host, lease_mode, lease_ends_at FROM tasks
WHERE status = 'running' AND lease_mode = 2 AND id <> ?5 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
  AND path IN (SELECT value FROM {each ?1})
UNION ALL
SELECT id, path, lease_host, lease_mode, lease_ends_at FROM tasks
WHERE status = 'running' AND lease_mode = 2 AND id <> ?5 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
  AND path > ?2 AND path < ?3
ORDER BY id LIMIT ?6;

-- name: settings_over
SELECT host, path, paused, reason, max_running, updated_at, daily_tokens, daily_micros, daily_attempts, reached_day
FROM directories
WHERE path IN (SELECT value FROM {each ?1}) AND (?2 = '' OR host = '' OR host = ?2)
  AND (paused = 1 OR max_running IS NOT NULL OR daily_tokens IS NOT NULL OR daily_micros IS NOT NULL OR daily_attempts IS NOT NULL)
ORDER BY path, host;

-- name: spent_at
SELECT coalesce(sum(input_tokens * 1.0 + output_tokens), 0), coalesce(sum(micros * 1.0), 0), coalesce(sum(attempts), 0)
FROM task_usage WHERE day = ?1 AND (path = ?2 OR (path > ?3 AND path < ?4)) AND (?5 = '' OR host = ?5);

-- name: running_everywhere
SELECT count(*) FROM tasks WHERE status = 'running';

-- name: running_at
SELECT count(*) FROM tasks
WHERE status = 'running' AND (path = ?1 OR (path > ?2 AND path < ?3)) AND (?4 = '' OR lease_host = ?4);

-- name: ping
SELECT max(id) FROM tasks;

-- name: indexing
SELECT last_event, unread, version FROM task_index;

-- name: events_unread
SELECT id, task_id, type FROM events WHERE id > ? ORDER BY id LIMIT ?;

-- name: tasks_unread
SELECT id FROM tasks WHERE id <= ? ORDER BY id DESC LIMIT ?;

-- name: texts
SELECT t.id, t.path, {part t.title title}, {part t.tags tags}, {part i.prompt prompt}, {part i.description description},
    {part o.result result}, {part o.error error}
FROM tasks t JOIN task_inputs i ON i.task_id = t.id LEFT JOIN task_outputs o ON o.task_id = t.id
WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM {each ?});

-- Queries that every dialect takes. {head}, {inputs} and {outputs} are the column lists of store/rows.py.

-- name: key
SELECT task_id, digest FROM task_keys WHERE scope = ? AND key = ?;

-- name: prompt
SELECT prompt FROM task_inputs WHERE task_id = ?;

-- name: outputs
SELECT {outputs} FROM task_outputs o WHERE o.task_id = ?;

-- name: log_position
SELECT coalesce((SELECT max(number) FROM task_logs WHERE task_id = ?1), 0),
       coalesce((SELECT max(line) FROM task_logs WHERE task_id = ?1 AND lease_no = ?2), 0);

-- name: due
SELECT {head} FROM tasks t WHERE t.status = 'scheduled' AND t.due_at <= ? ORDER BY t.due_at LIMIT ?;

-- name: held
SELECT {head} FROM tasks t WHERE t.status = 'parked' AND t.hold_until IS NOT NULL AND t.hold_until <= ? ORDER BY t.hold_until LIMIT ?;

-- name: expired
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.expire_at <= ? ORDER BY t.expire_at LIMIT ?;

-- name: ended
SELECT {head} FROM tasks t WHERE t.finished_at IS NOT NULL AND t.finished_at < ? ORDER BY t.finished_at LIMIT ?;

-- name: running
SELECT {head} FROM tasks t WHERE t.status = 'running';

-- name: next_due
SELECT (SELECT min(due_at) FROM tasks WHERE status = 'scheduled'),
       (SELECT min(hold_until) FROM tasks WHERE status = 'parked' AND hold_until IS NOT NULL),
       (SELECT min(expire_at) FROM tasks WHERE status = 'running');

-- name: delivered
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.poll_key = ?;

-- name: stream_first
SELECT t.id FROM tasks t WHERE t.status = 'waiting' AND t.path = ? AND t.kind = ? AND t.host = ? ORDER BY t.rank, t.id LIMIT ?;

-- name: stream_after
SELECT t.id FROM tasks t
WHERE t.status = 'waiting' AND t.path = ? AND t.kind = ? AND t.host = ? AND (t.rank, t.id) > (?, ?)
ORDER BY t.rank, t.id LIMIT ?;

-- name: running_everywhere
SELECT count(*) FROM tasks WHERE status = 'running';

-- name: running_below
SELECT count(*) FROM tasks
WHERE status = 'running' AND (path = ?1 OR (path > ?2 AND path < ?3)) AND (?4 = '' OR lease_host = ?4);

-- name: settings
SELECT host, path, paused, reason, max_running, updated_at FROM directories WHERE paused = 1 OR max_running IS NOT NULL;

-- name: get_meta
SELECT value FROM meta WHERE key = ?;

-- name: set_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: add_edge
INSERT INTO dependencies (child_id, parent_id, satisfied) VALUES (?, ?, ?);

-- name: satisfy_edge
UPDATE dependencies SET satisfied = 1 WHERE child_id = ? AND parent_id = ?;

-- name: add_key
INSERT INTO task_keys (scope, key, task_id, digest, created_at) VALUES (?, ?, ?, ?, ?);

-- name: remove_task
DELETE FROM tasks WHERE id = ? AND version = ?;

-- name: outlive_task
UPDATE task_keys SET removed_at = ? WHERE task_id = ?;

-- name: forget_events
DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT ?2) first WHERE at < ?1);

-- name: forget_keys
DELETE FROM task_keys WHERE (scope, key) IN (
    SELECT scope, key FROM task_keys WHERE removed_at IS NOT NULL AND removed_at < ? LIMIT ?
);

-- name: forget_rates
DELETE FROM task_rates WHERE minute < ?;

-- name: forget_durations
DELETE FROM task_durations WHERE hour < ?;

-- name: forget_counts
DELETE FROM task_counts WHERE n = 0;

-- name: add_log
INSERT INTO task_logs (task_id, number, lease_no, line, at, stream, text) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_attempt
INSERT INTO attempts (task_id, lease_no, attempt, outcome, path, host, kind, worker_id, claimed_by, account, session_id,
    started_at, ended_at, error, usage, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_event
INSERT INTO events (id, at, type, task_id, path, host, status, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: set_directory
INSERT INTO directories (host, path, paused, reason, max_running, updated_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (path, host) DO UPDATE SET paused = excluded.paused, reason = excluded.reason,
    max_running = excluded.max_running, updated_at = excluded.updated_at;

-- name: count_up
INSERT INTO task_counts (path, host, status, priority, n) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (path, host, status, priority) DO UPDATE SET n = task_counts.n + excluded.n;

-- name: count_down
UPDATE task_counts SET n = n + ?5 WHERE path = ?1 AND host = ?2 AND status = ?3 AND priority = ?4;

-- name: add_rates
INSERT INTO task_rates (minute, path, created, completed, failed, cancelled) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (minute, path) DO UPDATE SET created = task_rates.created + excluded.created,
    completed = task_rates.completed + excluded.completed, failed = task_rates.failed + excluded.failed,
    cancelled = task_rates.cancelled + excluded.cancelled;

-- name: add_durations
INSERT INTO task_durations (hour, path, bucket, n) VALUES (?, ?, ?, ?)
ON CONFLICT (hour, path, bucket) DO UPDATE SET n = task_durations.n + excluded.n;

-- Queries that every dialect takes. {head}, {inputs} and {outputs} are the column lists of store/rows.py.
-- {in}: is one of a list, which is one parameter. {lock}: nobody else may change the rows before the end of the transaction;
-- {skip}: nor may somebody else be about to, such rows are left out. SQLite, which has one writer, needs neither.

-- name: heads
SELECT {head} FROM tasks t WHERE t.id {in} ORDER BY t.id {lock};

-- name: places
SELECT id, path FROM tasks WHERE id {in};

-- name: bodies
SELECT i.task_id, {inputs}, {outputs} FROM task_inputs i LEFT JOIN task_outputs o ON o.task_id = i.task_id
WHERE i.task_id {in};

-- name: parents
SELECT child_id, parent_id, satisfied FROM dependencies WHERE child_id {in};

-- name: open_edges
SELECT parent_id, child_id FROM dependencies
WHERE satisfied = 0 AND parent_id {in} ORDER BY child_id;

-- name: leased_shared
SELECT EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode > 0 AND path {in1}
      AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
) OR EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode > 0 AND path > ?2 AND path < ?3 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
);

-- name: leased_exclusive
SELECT EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode = 2 AND path {in1}
      AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
) OR EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode = 2 AND path > ?2 AND path < ?3 AND (?4 = '' OR lease_host = '' OR lease_host = ?4)
);

-- name: owned
SELECT EXISTS (
    SELECT 1 FROM tasks
    WHERE status = 'running' AND lease_mode = 2 AND path {in1}
      AND (?2 = '' OR lease_host = '' OR lease_host = ?2)
);

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
SELECT {head} FROM tasks t WHERE t.status = 'scheduled' AND t.due_at <= ? ORDER BY t.due_at LIMIT ? {skip};

-- name: held
SELECT {head} FROM tasks t WHERE t.status = 'parked' AND t.hold_until IS NOT NULL AND t.hold_until <= ? ORDER BY t.hold_until LIMIT ? {skip};

-- name: expired
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.expire_at <= ? ORDER BY t.expire_at LIMIT ? {skip};

-- name: ended
-- Not those of a run that goes on, or ended later: it may be resumed, and hand on their results.
SELECT {head} FROM tasks t WHERE t.finished_at IS NOT NULL AND t.finished_at < ?1
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = t.run_id AND (r.finished_at IS NULL OR r.finished_at >= ?1))
ORDER BY t.finished_at LIMIT ?2 {skip};

-- name: running
SELECT {head} FROM tasks t WHERE t.status = 'running' ORDER BY t.id {lock};

-- name: next_due
SELECT (SELECT min(due_at) FROM tasks WHERE status = 'scheduled'),
       (SELECT min(hold_until) FROM tasks WHERE status = 'parked' AND hold_until IS NOT NULL),
       (SELECT min(expire_at) FROM tasks WHERE status = 'running'),
       (SELECT (min(reached_day) + 1) * 86400000 FROM directories WHERE reached_day IS NOT NULL),
       (SELECT min(held_until) FROM accounts WHERE held_until IS NOT NULL),
       (SELECT min(deadline_at) FROM runs WHERE finished_at IS NULL AND deadline_at IS NOT NULL),
       (SELECT min(fire_at) FROM schedules
        WHERE fire_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'scheduler' AND value = 'stopped'));

-- name: delivered
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.poll_key = ? ORDER BY t.id {lock};

-- name: stream_after
SELECT t.id FROM tasks t
WHERE t.status = 'waiting' AND t.path = ? AND t.kind = ? AND t.host = ? AND t.agent = ? AND (t.rank, t.id) > (?, ?)
ORDER BY t.rank, t.id LIMIT ?;

-- name: running_everywhere
SELECT count(*) FROM tasks WHERE status = 'running';

-- name: running_below
SELECT count(*) FROM tasks
WHERE status = 'running' AND (path = ?1 OR (path > ?2 AND path < ?3)) AND (?4 = '' OR lease_host = ?4);

-- name: settings
-- With those whose budget was taken away while another server saw that it is used up: that has to be forgotten, too.
SELECT {setting} FROM directories d
WHERE paused = 1 OR max_running IS NOT NULL OR daily_tokens IS NOT NULL OR daily_micros IS NOT NULL OR daily_attempts IS NOT NULL
   OR reached_day IS NOT NULL;

-- name: held_for_the_day
SELECT {head} FROM tasks t
WHERE t.status = 'parked' AND t.hold_until IS NOT NULL AND t.hold = 'budget'
  AND (t.path = ?1 OR (t.path > ?2 AND t.path < ?3)) AND (?4 = '' OR t.host = '' OR t.host = ?4) ORDER BY t.id LIMIT ?5 {skip};

-- name: get_meta
SELECT value FROM meta WHERE key = ? {lock};

-- name: set_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: credential
SELECT {credential} FROM api_keys k WHERE k.id = ? {lock};

-- name: credentials_named
SELECT {credential} FROM api_keys k WHERE k.name = ? AND k.parent IS NULL AND k.revoked_at IS NULL ORDER BY k.id {lock};

-- name: sessions
SELECT {credential} FROM api_keys k WHERE k.parent = ? AND k.revoked_at IS NULL ORDER BY k.id {lock};

-- name: change_key
UPDATE api_keys SET name = ?, secrets = ?, rate = ?, expires_at = ?, disabled = ?, revoked_at = ? WHERE id = ?;

-- name: use_key
UPDATE api_keys SET last_used_at = ?1, last_used_from = ?2 WHERE id = ?3 AND coalesce(last_used_at, 0) < ?1;

-- name: forget_sessions
DELETE FROM api_keys WHERE id IN (
    SELECT id FROM api_keys WHERE parent IS NOT NULL AND (revoked_at < ?1 OR expires_at < ?1) LIMIT ?2
);

-- name: listed
SELECT count(*) FROM addresses WHERE list = ? AND network = ?;

-- name: list_address
INSERT INTO addresses (list, network, note, created_at, created_by) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (list, network) DO UPDATE SET note = excluded.note;

-- name: unlist_address
DELETE FROM addresses WHERE list = ? AND network = ?;

-- name: account
SELECT {account} FROM accounts a WHERE a.scope = ? AND a.account = ? {lock};

-- name: accounts_named
SELECT {account} FROM accounts a WHERE a.account = ? ORDER BY a.scope {lock};

-- name: lapsed
SELECT {account} FROM accounts a WHERE a.held_until IS NOT NULL AND a.held_until <= ? ORDER BY a.held_until LIMIT ? {skip};

-- name: add_account
INSERT INTO accounts (scope, account, paths, held_until, reason, updated_at) VALUES (?, ?, ?, ?, ?, ?);

-- name: change_account
UPDATE accounts SET held_until = ?, reason = ?, updated_at = ? WHERE scope = ? AND account = ?;

-- name: forget_accounts
DELETE FROM accounts WHERE held_until IS NULL AND updated_at < ?;

-- name: parked_for
SELECT {head} FROM tasks t WHERE t.status = 'parked' AND t.hold = 'quota' AND t.account = ? AND t.id > ?
ORDER BY t.id LIMIT ? {lock};

-- name: running_of
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.worker_id = ? ORDER BY t.expire_at;

-- name: drains
SELECT worker_id, scope, paths, reason, since FROM drains;

-- name: add_drain
INSERT INTO drains (worker_id, scope, paths, reason, since) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (worker_id, scope) DO UPDATE SET reason = excluded.reason, since = excluded.since;

-- name: remove_drain
DELETE FROM drains WHERE worker_id = ? AND scope = ?;

-- name: forget_drains
DELETE FROM drains WHERE since < ?;

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
-- Not what runs and schedules have yet to go on after, the index of words has yet to read, or rules have yet to be told of.
DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT ?2) first WHERE at < ?1)
AND id <= (SELECT last_event FROM task_index) AND id < coalesce((
    SELECT id FROM events WHERE id > coalesce((SELECT last_event FROM consumers WHERE name = 'advancer'), 0)
      AND (run_id IS NOT NULL OR schedule_id IS NOT NULL)
    ORDER BY id LIMIT 1
), 9223372036854775807) AND NOT EXISTS (
    SELECT 1 FROM notification_rules n WHERE n.enabled = 1 AND n.from_event < events.id
      AND events.id > coalesce((SELECT last_event FROM consumers WHERE name = 'announcer'), 0)
);

-- name: forget_fires
DELETE FROM fires WHERE id IN (SELECT id FROM fires WHERE decided_at < ? AND outcome <> 'queued' ORDER BY decided_at LIMIT ?);

-- name: forget_keys
DELETE FROM task_keys WHERE (scope, key) IN (
    SELECT scope, key FROM task_keys WHERE removed_at IS NOT NULL AND removed_at < ? LIMIT ?
);

-- name: forget_deliveries
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE at < ? AND outcome <> 'fetching' ORDER BY at LIMIT ?);

-- name: forget_rates
DELETE FROM task_rates WHERE (minute, path) IN (SELECT minute, path FROM task_rates WHERE minute < ? ORDER BY minute LIMIT ?);

-- name: forget_durations
DELETE FROM task_durations WHERE (hour, path, bucket) IN (
    SELECT hour, path, bucket FROM task_durations WHERE hour < ? ORDER BY hour LIMIT ?
);

-- name: more_to_forget
-- ?1 the time of events, ?2 of keys, ?3 the minute of rates, ?4 the hour of durations, ?6 the day of usage, ?5 as many of each go
-- now.
SELECT EXISTS (SELECT 1 FROM (SELECT id, at FROM events ORDER BY id LIMIT 1 OFFSET ?5) e WHERE e.at < ?1
AND e.id <= (SELECT last_event FROM task_index) AND e.id < coalesce((
    SELECT id FROM events WHERE id > coalesce((SELECT last_event FROM consumers WHERE name = 'advancer'), 0)
      AND (run_id IS NOT NULL OR schedule_id IS NOT NULL)
    ORDER BY id LIMIT 1
), 9223372036854775807) AND NOT EXISTS (
    SELECT 1 FROM notification_rules n WHERE n.enabled = 1 AND n.from_event < e.id
      AND e.id > coalesce((SELECT last_event FROM consumers WHERE name = 'announcer'), 0)
))
    OR EXISTS (SELECT 1 FROM fires WHERE decided_at < ?1 AND outcome <> 'queued' LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM task_keys WHERE removed_at IS NOT NULL AND removed_at < ?2 LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM deliveries WHERE at < ?2 AND outcome <> 'fetching' LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM notifications n WHERE n.finished_at IS NOT NULL AND n.finished_at < ?2 AND NOT (
        n.type = 'task.waiting_long' AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = n.task_id AND t.status = 'waiting')
    ) LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM task_rates WHERE minute < ?3 LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM task_durations WHERE hour < ?4 LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM task_usage WHERE day < ?6 LIMIT 1 OFFSET ?5)
    OR EXISTS (SELECT 1 FROM tag_usage WHERE day < ?6 LIMIT 1 OFFSET ?5);

-- name: last_lines
SELECT t.id, (SELECT max(l.number) FROM task_logs l WHERE l.task_id = t.id) FROM tasks t WHERE t.id {in};

-- name: trim_logs
DELETE FROM task_logs WHERE task_id = ? AND number > ?;

-- name: forget_counts
DELETE FROM task_counts WHERE n = 0;

-- name: add_log
INSERT INTO task_logs (task_id, number, lease_no, line, at, stream, text) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_attempt
INSERT INTO attempts (task_id, lease_no, attempt, outcome, path, host, kind, worker_id, claimed_by, account, session_id,
    started_at, ended_at, error, usage, reason, agent, evidence)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_event
INSERT INTO events (id, at, type, task_id, path, host, status, data, actor, origin, run_id, schedule_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: linked_events
SELECT id, type, task_id, run_id, schedule_id, status FROM events
WHERE id > ? AND (run_id IS NOT NULL OR schedule_id IS NOT NULL) ORDER BY id LIMIT ?;

-- name: schedules_due
SELECT {schedules} FROM schedules r WHERE r.fire_at IS NOT NULL AND r.fire_at <= ? ORDER BY r.fire_at, r.id LIMIT ? {skip};

-- name: schedule_named
SELECT {schedules} FROM schedules r WHERE r.scope = ? AND r.name = ? {lock};

-- name: schedules_followed
-- Those for which it means something that their work has ended.
SELECT {schedules} FROM schedules r
WHERE r.id {in} AND (r.pause_after_failures IS NOT NULL OR r.overlap IN ('queue_one', 'one_at_a_time')
    OR EXISTS (SELECT 1 FROM fires f WHERE f.schedule_id = r.id AND f.outcome = 'queued'))
ORDER BY r.id {lock};

-- name: schedules_waiting
SELECT {schedules} FROM schedules r WHERE r.id IN (SELECT schedule_id FROM fires WHERE outcome = 'queued') ORDER BY r.id {lock};

-- name: schedules_of_workflow
SELECT {schedules} FROM schedules r WHERE r.workflow_id = ? ORDER BY r.id {lock};

-- name: fires_queued
SELECT {fires} FROM fires r WHERE r.schedule_id {in} AND r.outcome = 'queued' {lock};

-- name: fires_between
SELECT {fires} FROM fires r WHERE r.schedule_id = ? AND r.kind <> 'manual' AND r.due_at BETWEEN ? AND ? {lock};

-- name: fires_latest
SELECT {fires} FROM fires r WHERE r.schedule_id = ?1 AND r.id IN (
    SELECT f.id FROM fires f WHERE f.schedule_id = ?1 AND f.kind = 'due' AND f.outcome IN ('fired', 'failed') AND f.decided_at > ?2
    ORDER BY f.id DESC LIMIT ?3) {lock};

-- name: under_way
SELECT schedule_id, id, NULL FROM tasks WHERE schedule_id {in} AND finished_at IS NULL AND run_id IS NULL;

-- name: runs_under_way
SELECT schedule_id, NULL, id FROM runs WHERE schedule_id {in} AND finished_at IS NULL;

-- name: run_statuses
SELECT id, status FROM runs WHERE id {in};

-- name: set_directory
INSERT INTO directories (host, path, paused, reason, max_running, updated_at, daily_tokens, daily_micros, daily_attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path, host) DO UPDATE SET paused = excluded.paused, reason = excluded.reason,
    max_running = excluded.max_running, updated_at = excluded.updated_at, daily_tokens = excluded.daily_tokens,
    daily_micros = excluded.daily_micros, daily_attempts = excluded.daily_attempts;

-- name: reach_budget
UPDATE directories SET reached_day = ? WHERE path = ? AND host = ?;

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

-- name: deliveries_of_key
SELECT {deliveries} FROM deliveries r
WHERE r.workflow_id = ? AND r.place = ? AND r.key = ? AND r.outcome IN ('fired', 'dry_run', 'fetching') {lock};

-- name: deliveries_again
-- Those like one, since a time.
SELECT {deliveries} FROM deliveries r
WHERE r.workflow_id = ?1 AND r.place = ?2 AND r.outcome = ?3 AND r.at > ?4 AND r.outcome IN ('refused', 'duplicate')
    AND r.reason = ?5 AND r.key IS NOT DISTINCT FROM ?6
ORDER BY r.at DESC LIMIT 1 {lock};

-- name: states_of_workflow
SELECT {trigger_states} FROM trigger_states r WHERE r.workflow_id = ? {lock};

-- name: states_of_type
SELECT {trigger_states} FROM trigger_states r WHERE r.type = ? ORDER BY r.workflow_id, r.place {lock};

-- What only PostgreSQL says so: its clock, its locks, its guards, and sets where SQLite, which has no way to go, asks one by one.

-- name: clock
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, (SELECT value FROM meta WHERE key = 'alive_at'),
       (SELECT value FROM meta WHERE key = 'ahead');

-- name: alive
UPDATE meta SET value = ?1 WHERE key IN (
    SELECT key FROM meta WHERE key = 'alive_at' AND value::bigint < ?2 FOR UPDATE SKIP LOCKED
);

-- name: first_meta
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING;

-- name: serve
SELECT pg_try_advisory_lock_shared(?);

-- name: columns
SELECT table_name || '.' || column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema();

-- name: next_due
SELECT (SELECT min(due_at) FROM tasks WHERE status = 'scheduled' AND due_at > ?1),
    (SELECT min(hold_until) FROM tasks WHERE status = 'parked' AND hold_until IS NOT NULL),
    (SELECT min(expire_at) FROM tasks WHERE status = 'running' AND expire_at > ?1),
    (SELECT (min(reached_day) + 1) * 86400000 FROM directories WHERE reached_day IS NOT NULL),
    (SELECT min(held_until) FROM accounts WHERE held_until IS NOT NULL),
    (SELECT min(deadline_at) FROM runs WHERE finished_at IS NULL AND deadline_at IS NOT NULL),
    (SELECT min(fire_at) FROM schedules
     WHERE fire_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'scheduler' AND value = 'stopped'));

-- name: due
SELECT {head} FROM tasks t WHERE t.status = 'scheduled' AND t.due_at > ? AND t.due_at <= ? ORDER BY t.due_at LIMIT ? {skip};

-- name: expired
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.expire_at > ? AND t.expire_at <= ? ORDER BY t.expire_at LIMIT ? {skip};

-- name: transaction_id
SELECT pg_current_xact_id()::text;

-- name: transaction_status
SELECT pg_xact_status(?::xid8);

-- name: told
SELECT count(*) FROM events WHERE id > (SELECT max(id) FROM events) - 100000 AND at = ? AND type = ? AND task_id = ?;

-- name: revised
SELECT max(version), max(updated_at) FROM tasks WHERE id = ?;

-- name: claim_lock
-- Claims of all servers are decided one batch after the other: who sees a task, a lease or a limit sees it as it stays.
SELECT pg_advisory_xact_lock(?);

-- name: feed_lock
-- Taken last, and held until the commit: so ids of events rise in the order in which they can be read.
SELECT pg_advisory_xact_lock(?);

-- name: notify
SELECT pg_notify('orchestrator', ?);

-- name: parents_kept
SELECT {head} FROM tasks t WHERE t.id {in} ORDER BY t.id FOR SHARE OF t;

-- name: seize
-- Who waits for a row here may be waited for: better to begin again.
SELECT t.id FROM tasks t WHERE t.id {in} ORDER BY t.id FOR NO KEY UPDATE OF t NOWAIT;

-- name: remove_lease
DELETE FROM leases WHERE task_id = ?;

-- name: add_lease
INSERT INTO leases (task_id, hosts, span, modes)
SELECT r.task_id, CASE r.host WHEN '' THEN text_range(NULL, NULL) ELSE text_range(r.host, r.host, '[]') END,
    text_range(r.low, r.high), CASE r.mode WHEN 2 THEN int8range(NULL, NULL) ELSE int8range(r.task_id, r.task_id, '[]') END
FROM json_to_recordset(?) AS r (task_id bigint, host text, low text, high text, mode integer)
ON CONFLICT DO NOTHING;

-- name: new_ids
SELECT nextval(pg_get_serial_sequence('tasks', 'id')) FROM generate_series(1, ?);

-- name: new_record_ids
SELECT nextval(pg_get_serial_sequence(?, 'id')) FROM generate_series(1, ?);

-- name: add_event
INSERT INTO events (at, type, task_id, path, host, status, data, actor, origin, run_id, schedule_id)
SELECT r.at, r.type, r.task_id, r.path, r.host, r.status, r.data, r.actor, r.origin, r.run_id, r.schedule_id
FROM json_to_recordset(?) AS r (at bigint, type text, task_id bigint, path text, host text, status text, data text, actor text,
    origin text, run_id bigint, schedule_id bigint)
RETURNING id;

-- name: use_key
UPDATE api_keys k SET last_used_at = r.at, last_used_from = r.origin
FROM json_to_recordset(?) AS r (at bigint, origin text, id text) WHERE k.id = r.id AND coalesce(k.last_used_at, 0) < r.at;

-- name: keys_among
SELECT k.scope, k.key, k.task_id, k.digest
FROM json_to_recordset(?) AS r (scope text, key text) JOIN task_keys k ON k.scope = r.scope AND k.key = r.key;

-- name: outputs_among
SELECT o.task_id, {outputs} FROM task_outputs o WHERE o.task_id {in};

-- name: positions_among
SELECT r.task_id, r.lease_no, coalesce((SELECT max(number) FROM task_logs l WHERE l.task_id = r.task_id), 0),
    coalesce((SELECT max(line) FROM task_logs l WHERE l.task_id = r.task_id AND l.lease_no = r.lease_no), 0)
FROM json_to_recordset(?) AS r (task_id bigint, lease_no integer);

-- name: accounts_among
SELECT {account} FROM json_to_recordset(?) AS r (scope text, account text)
JOIN accounts a ON a.scope = r.scope AND a.account = r.account;

-- name: delivered_among
SELECT {head} FROM tasks t WHERE t.status = 'running' AND t.poll_key {in} ORDER BY t.id {lock};

-- name: streams_among
-- With the first task of each: what stands before it in the index is dead, and is passed only once.
SELECT w.path, s.kind, s.host, s.agent, s.rank, s.id
FROM unnest(?::text[]) AS w (path) CROSS JOIN LATERAL (
    WITH RECURSIVE stream (kind, host, agent, rank, id) AS (
        (SELECT t.kind, t.host, t.agent, t.rank, t.id FROM tasks t WHERE t.status = 'waiting' AND t.path = w.path
         ORDER BY t.kind, t.host, t.agent, t.rank, t.id LIMIT 1)
        UNION ALL
        SELECT n.kind, n.host, n.agent, n.rank, n.id FROM stream CROSS JOIN LATERAL (
            SELECT t.kind, t.host, t.agent, t.rank, t.id FROM tasks t
            WHERE t.status = 'waiting' AND t.path = w.path AND (t.kind, t.host, t.agent) > (stream.kind, stream.host, stream.agent)
            ORDER BY t.kind, t.host, t.agent, t.rank, t.id LIMIT 1
        ) n
    )
    SELECT kind, host, agent, rank, id FROM stream
) s;

-- name: streams_below
WITH RECURSIVE stream (path, kind, host, agent, rank, id) AS (
    (SELECT t.path, t.kind, t.host, t.agent, t.rank, t.id FROM tasks t
     WHERE t.status = 'waiting' AND t.path > ?1 AND t.path < ?2 ORDER BY t.path, t.kind, t.host, t.agent, t.rank, t.id LIMIT 1)
    UNION ALL
    SELECT n.path, n.kind, n.host, n.agent, n.rank, n.id FROM stream CROSS JOIN LATERAL (
        SELECT t.path, t.kind, t.host, t.agent, t.rank, t.id FROM tasks t
        WHERE t.status = 'waiting' AND t.path < ?2
          AND (t.path, t.kind, t.host, t.agent) > (stream.path, stream.kind, stream.host, stream.agent)
        ORDER BY t.path, t.kind, t.host, t.agent, t.rank, t.id LIMIT 1
    ) n
)
SELECT path, kind, host, agent, rank, id FROM stream;

-- name: pages
SELECT {head} FROM json_to_recordset(?1) AS r (path text, kind text, host text, agent text, rank bigint, id bigint)
CROSS JOIN LATERAL (
    SELECT * FROM tasks w
    WHERE w.status = 'waiting' AND w.path = r.path AND w.kind = r.kind AND w.host = r.host AND w.agent = r.agent
      AND (w.rank, w.id) >= (r.rank, r.id)
    ORDER BY w.rank, w.id LIMIT ?2
) t ORDER BY t.rank, t.id;

-- name: pages_free
SELECT {head} FROM json_to_recordset(?1) AS r (path text, kind text, host text, agent text, rank bigint, id bigint)
CROSS JOIN LATERAL (
    SELECT * FROM tasks w
    WHERE w.status = 'waiting' AND w.path = r.path AND w.kind = r.kind AND w.host = r.host AND w.agent = r.agent
      AND (w.rank, w.id) >= (r.rank, r.id)
    ORDER BY w.rank, w.id LIMIT ?2 FOR NO KEY UPDATE SKIP LOCKED
) t ORDER BY t.rank, t.id;

-- name: page_after
SELECT {head} FROM tasks t
WHERE t.status = 'waiting' AND t.path = ? AND t.kind = ? AND t.host = ? AND t.agent = ? AND (t.rank, t.id) > (?, ?)
ORDER BY t.rank, t.id LIMIT ?;

-- name: leases_among
-- For each path and host: an exclusive lease on it or above; one on, above or below it; any lease on, above or below it, where
-- `any` asks for it: else the index passes over shared leases, and so over the dead rows that they leave.
SELECT r.path, r.host, f.owned, f.exclusive, CASE WHEN r."any" THEN f.leased END
FROM json_to_recordset(?) AS r (path text, host text, low text, high text, "any" boolean) CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(upper_inf(l.modes) AND l.span @> text_range(r.low, r.high)), FALSE) AS owned,
        coalesce(bool_or(upper_inf(l.modes)), FALSE) AS exclusive, count(*) > 0 AS leased
    FROM leases l
    WHERE l.span && text_range(r.low, r.high)
      AND l.hosts && CASE r.host WHEN '' THEN text_range(NULL, NULL) ELSE text_range(r.host, r.host, '[]') END
      AND l.modes && CASE WHEN r."any" THEN int8range(NULL, NULL) ELSE int8range(9223372036854775806, NULL) END
) f;

-- name: standing
SELECT coalesce((SELECT max(id) FROM events), 0), (extract(epoch FROM statement_timestamp()) * 1000)::bigint,
    (SELECT min(due_at) FROM tasks WHERE status = 'scheduled' AND due_at > ?1),
    (SELECT min(hold_until) FROM tasks WHERE status = 'parked' AND hold_until IS NOT NULL),
    (SELECT min(expire_at) FROM tasks WHERE status = 'running' AND expire_at > ?1),
    (SELECT (min(reached_day) + 1) * 86400000 FROM directories WHERE reached_day IS NOT NULL),
    (SELECT min(held_until) FROM accounts WHERE held_until IS NOT NULL),
    (SELECT min(deadline_at) FROM runs WHERE finished_at IS NULL AND deadline_at IS NOT NULL),
    (SELECT min(fire_at) FROM schedules
     WHERE fire_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'scheduler' AND value = 'stopped'));

-- name: servers
-- A bigint is listed there in halves.
SELECT count(*) FROM pg_locks l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.mode = 'ShareLock'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = ?1;

-- name: share
INSERT INTO askers (server, worker_id, seen_at, present)
SELECT ?1, r.worker_id, r.seen_at, r.present FROM json_to_recordset(?2) AS r (worker_id text, seen_at bigint, present text)
ON CONFLICT (server, worker_id) DO UPDATE SET seen_at = excluded.seen_at, present = excluded.present
RETURNING 1;

-- name: askers
WITH gone AS (DELETE FROM askers WHERE seen_at < ?1 - 3600000)
SELECT worker_id, seen_at, present FROM askers WHERE seen_at >= ?1 AND server <> ?2;

-- name: index_words
-- Nobody removes a task between the look whether it is there and the commit.
INSERT INTO task_words (task_id, words)
SELECT t.id, r.words::tsvector FROM json_to_recordset(?) AS r (id bigint, words text) JOIN tasks t ON t.id = r.id
ORDER BY t.id FOR KEY SHARE OF t
ON CONFLICT (task_id) DO UPDATE SET words = excluded.words;

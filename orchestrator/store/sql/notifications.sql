-- Notifications, for every dialect: see common.sql.

-- name: rules_named
SELECT {notification_rules} FROM notification_rules r WHERE r.scope = ? AND r.name = ? {lock};

-- name: rules_enabled
SELECT {notification_rules} FROM notification_rules r WHERE r.enabled = 1;

-- name: last_event
SELECT coalesce(max(id), 0) FROM events;

-- name: heard_events
SELECT id, at, type, task_id, path, host, status, data, run_id, schedule_id FROM events WHERE id > ? ORDER BY id LIMIT ?;

-- name: briefs
SELECT t.id, t.title, t.path, t.host, t.kind, t.status, t.priority, t.tags, t.attempt, t.max_attempts, t.reason,
    t.lease_no, t.ready_at,    o.error, o.question, o.options, substr(i.prompt, 1, 16000)
FROM tasks t LEFT JOIN task_outputs o ON o.task_id = t.id LEFT JOIN task_inputs i ON i.task_id = t.id WHERE t.id {in};

-- name: notifications_of_keys
SELECT {notifications} FROM notifications r WHERE r.rule_id {in1} AND r.key {in2};

-- name: notifications_last
SELECT {notifications} FROM notifications r WHERE r.status = 'pending' AND r.id IN (
    SELECT max(n.id) FROM notifications n WHERE n.rule_id {in1} AND n.lane {in2} AND n.status = 'pending' GROUP BY n.rule_id, n.lane
) {lock};

-- name: notifications_next
SELECT {notifications} FROM notifications r
WHERE r.rule_id = ? AND r.lane = ? AND r.status = 'pending' AND r.id <> ? ORDER BY r.id LIMIT 1 {lock};

-- name: notifications_due
SELECT {notifications} FROM notifications r
WHERE r.rule_id = ? AND r.due_at IS NOT NULL AND r.due_at <= ? ORDER BY r.due_at, r.id LIMIT ? {skip};

-- name: notifications_held
SELECT {notifications} FROM notifications r WHERE r.holder = ? {lock};

-- name: notifications_held_by_others
SELECT {notifications} FROM notifications r WHERE r.holder IS NOT NULL AND r.holder <> ? {lock};

-- name: notifications_dead
SELECT {notifications} FROM notifications r WHERE r.rule_id = ? AND r.status = 'dead' ORDER BY r.id LIMIT ? {lock};

-- name: forget_notifications
-- That a task waits for long is told once: as long as it waits, it is known that it was.
DELETE FROM notifications WHERE id IN (
    SELECT n.id FROM notifications n WHERE n.finished_at IS NOT NULL AND n.finished_at < ?1 AND NOT (
        n.type = 'task.waiting_long' AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = n.task_id AND t.status = 'waiting')
    ) ORDER BY n.finished_at LIMIT ?2
);

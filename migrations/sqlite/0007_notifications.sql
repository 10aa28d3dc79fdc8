-- Who wants to be told of what, and what they are told. JSON is text.

-- scope, paths: of the credential that made the rule, which hears of nothing else (paths NULL: of everything). definition: what it
-- wants and where to, its secrets sealed. from_event: it hears of what comes after that.
CREATE TABLE notification_rules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    paths TEXT,
    owner TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    disabled_reason TEXT,
    definition TEXT NOT NULL,
    from_event INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    managed_by TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (disabled_reason IS NULL OR enabled = 0)
) STRICT;
CREATE UNIQUE INDEX notification_rules_name ON notification_rules (scope, name);
CREATE INDEX notification_rules_enabled ON notification_rules (id) WHERE enabled = 1;

-- What rules are told. key: of what, for a rule is told of it once. lane: those of one task are sent one after the other. due_at:
-- when it is sent next, or when another server may, as nothing was heard of its holder; NULL: after the one before it in its lane.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    rule_id INTEGER NOT NULL REFERENCES notification_rules (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    message_id TEXT NOT NULL,
    lane TEXT NOT NULL,
    event_id INTEGER,
    type TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
    tries INTEGER NOT NULL CHECK (tries >= 0),
    due_at INTEGER,
    holder TEXT,
    reason TEXT,
    answered INTEGER,
    created_at INTEGER NOT NULL,
    tried_at INTEGER,
    finished_at INTEGER,
    CHECK ((status = 'pending') = (finished_at IS NULL)),
    CHECK (due_at IS NULL OR status = 'pending'),
    CHECK (holder IS NULL OR due_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX notifications_once ON notifications (rule_id, key);
CREATE INDEX notifications_due ON notifications (rule_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notifications_lane ON notifications (rule_id, lane, id) WHERE status = 'pending';
CREATE INDEX notifications_oldest ON notifications (rule_id, created_at) WHERE status = 'pending';
CREATE INDEX notifications_held ON notifications (holder) WHERE holder IS NOT NULL;
CREATE INDEX notifications_rule ON notifications (rule_id, id);
CREATE INDEX notifications_task ON notifications (task_id, id);
CREATE INDEX notifications_dead ON notifications (rule_id, id) WHERE status = 'dead';
CREATE INDEX notifications_finished ON notifications (finished_at) WHERE finished_at IS NOT NULL;

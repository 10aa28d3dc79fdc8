-- The queue. Times are integer milliseconds since 1970, UTC. Paths collate bytewise (BINARY, SQLite's default).
-- A connection that creates the file sets auto_vacuum=INCREMENTAL first.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Narrow rows: what rules ask about. Up to traceparent columns change by PUT or never, from version on with every step.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
    tags TEXT NOT NULL,
    exclusive INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    title TEXT,
    run_at INTEGER,
    max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
    timeout_ms INTEGER NOT NULL CHECK (timeout_ms > 0),
    backoff TEXT,
    has_parents INTEGER NOT NULL CHECK (has_parents IN (0, 1)),
    created_at INTEGER NOT NULL,
    source TEXT NOT NULL,
    schedule_id INTEGER,
    workflow_id TEXT,
    run_id INTEGER,
    step_id TEXT,
    traceparent TEXT,
    version INTEGER NOT NULL CHECK (version >= 1),
    status TEXT NOT NULL,
    rank INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    due_at INTEGER,
    hold TEXT CHECK (hold IN ('quota', 'budget', 'question', 'approval', 'releases')),
    hold_until INTEGER,
    attempt INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND lease_no),
    releases INTEGER NOT NULL CHECK (releases >= 0),
    lease_no INTEGER NOT NULL,
    nonce TEXT,
    lease_mode INTEGER NOT NULL CHECK (lease_mode IN (0, 1, 2)),
    lease_host TEXT,
    lease_ms INTEGER NOT NULL,
    lease_ends_at INTEGER,
    lease_deadline INTEGER,
    confirm_by INTEGER,
    expire_at INTEGER,
    used INTEGER NOT NULL CHECK (used IN (0, 1)),
    worker_id TEXT,
    account TEXT,
    claimed_by TEXT,
    poll_key TEXT,
    poll_hash TEXT,
    delivery_no INTEGER NOT NULL,
    ended_by TEXT,
    cancel_requested_at INTEGER,
    reason TEXT,
    updated_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    CHECK (
        CASE status
        WHEN 'waiting' THEN hold IS NULL AND finished_at IS NULL
        WHEN 'scheduled' THEN due_at IS NOT NULL AND hold IS NULL AND finished_at IS NULL
        WHEN 'blocked' THEN has_parents = 1 AND finished_at IS NULL
        WHEN 'parked' THEN hold IS NOT NULL AND finished_at IS NULL
        WHEN 'running' THEN hold IS NULL AND finished_at IS NULL
        WHEN 'completed' THEN finished_at IS NOT NULL
        WHEN 'failed' THEN finished_at IS NOT NULL
        WHEN 'cancelled' THEN finished_at IS NOT NULL
        ELSE 0
        END
    ),
    CHECK (
        CASE status
        WHEN 'running' THEN
            nonce IS NOT NULL AND worker_id IS NOT NULL AND attempt >= 1 AND expire_at IS NOT NULL
            AND lease_ends_at IS NOT NULL AND lease_deadline IS NOT NULL AND lease_ends_at <= lease_deadline
        ELSE
            lease_mode = 0 AND expire_at IS NULL AND lease_ends_at IS NULL AND lease_deadline IS NULL
            AND poll_key IS NULL AND cancel_requested_at IS NULL
        END
    )
) STRICT;

-- A stream is (path, kind, host); within it the next task is the first row. Finished tasks are in none of these.
CREATE INDEX tasks_waiting ON tasks (path, kind, host, rank, id) WHERE status = 'waiting';
CREATE INDEX tasks_scheduled ON tasks (due_at) WHERE status = 'scheduled';
CREATE INDEX tasks_held ON tasks (hold_until) WHERE status = 'parked' AND hold_until IS NOT NULL;
CREATE INDEX tasks_expiring ON tasks (expire_at) WHERE status = 'running';
CREATE INDEX tasks_leases ON tasks (path, lease_host) WHERE status = 'running' AND lease_mode > 0;
CREATE INDEX tasks_exclusive ON tasks (path, lease_host) WHERE status = 'running' AND lease_mode = 2;
CREATE INDEX tasks_polls ON tasks (poll_key) WHERE status = 'running' AND poll_key IS NOT NULL;
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL;
-- For people: lists by status and by directory.
CREATE INDEX tasks_unfinished ON tasks (status, id) WHERE status NOT IN ('completed', 'cancelled');
CREATE INDEX tasks_directory ON tasks (path, id);
CREATE INDEX tasks_run ON tasks (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX tasks_schedule ON tasks (schedule_id, id) WHERE schedule_id IS NOT NULL;

CREATE TABLE task_inputs (
    task_id INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    prompt TEXT,
    description TEXT,
    spec TEXT,
    environment TEXT NOT NULL,
    resource_limits TEXT NOT NULL,
    metadata TEXT NOT NULL,
    depends_on TEXT NOT NULL,
    key TEXT,
    requires_approval INTEGER NOT NULL
) STRICT;

CREATE TABLE task_outputs (
    task_id INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    progress TEXT,
    checkpoint TEXT,
    session_id TEXT,
    result TEXT,
    error TEXT,
    usage_now TEXT,
    usage_before TEXT,
    question TEXT,
    options TEXT,
    answer TEXT
) STRICT;

-- A satisfied edge stays satisfied; a parent may be gone.
CREATE TABLE dependencies (
    child_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    parent_id INTEGER NOT NULL,
    satisfied INTEGER NOT NULL CHECK (satisfied IN (0, 1)),
    PRIMARY KEY (child_id, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_open ON dependencies (parent_id, child_id) WHERE satisfied = 0;

-- Idempotency keys outlive their task (removed_at: the end of one that is gone); unique within the path scope of the credential.
CREATE TABLE task_keys (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    removed_at INTEGER,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_keys_task ON task_keys (task_id);
CREATE INDEX task_keys_removed ON task_keys (removed_at) WHERE removed_at IS NOT NULL;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    lease_no INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('completed', 'failed', 'expired', 'released', 'parked', 'cancelled')),
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    worker_id TEXT,
    claimed_by TEXT,
    account TEXT,
    session_id TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    error TEXT,
    usage TEXT,
    reason TEXT,
    UNIQUE (task_id, lease_no)
) STRICT;

-- number counts through all attempts of a task, line through one lease: a repeated send stores nothing twice.
CREATE TABLE task_logs (
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    lease_no INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at INTEGER NOT NULL,
    stream TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (task_id, number),
    UNIQUE (task_id, lease_no, line)
) STRICT, WITHOUT ROWID;

-- The feed: a row per transition, written in its transaction.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    task_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    status TEXT,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE directories (
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    paused INTEGER NOT NULL CHECK (paused IN (0, 1)),
    reason TEXT,
    max_running INTEGER CHECK (max_running >= 1),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (path, host)
) STRICT, WITHOUT ROWID;

-- Rollups, kept in the transaction of what they count, so that statistics never scan tasks.
CREATE TABLE task_counts (
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    status TEXT NOT NULL,
    priority INTEGER NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (path, host, status, priority)
) STRICT, WITHOUT ROWID;

CREATE TABLE task_rates (
    minute INTEGER NOT NULL,
    path TEXT NOT NULL,
    created INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    PRIMARY KEY (minute, path)
) STRICT, WITHOUT ROWID;

-- How long completed attempts ran: counts by hour and logarithmic bucket.
CREATE TABLE task_durations (
    hour INTEGER NOT NULL,
    path TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (hour, path, bucket)
) STRICT, WITHOUT ROWID;

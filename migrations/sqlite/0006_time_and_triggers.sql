-- What creates work by itself. scope, paths, secrets, owner: of the credential that defined it (paths NULL: everywhere, secrets NULL:
-- all), with whose rights its tasks are created. managed_by: the files that keep a definition. JSON is text.

-- due_at: the next due time, in wall time; fire_at: with jitter. Both only ever go forward.
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    paths TEXT,
    secrets TEXT,
    owner TEXT NOT NULL,
    description TEXT,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    work TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    paused_reason TEXT,
    jitter_ms INTEGER NOT NULL CHECK (jitter_ms >= 0),
    starts_at INTEGER,
    ends_at INTEGER,
    max_runs INTEGER CHECK (max_runs >= 1),
    overlap TEXT NOT NULL CHECK (overlap IN ('allow', 'skip', 'queue_one', 'one_at_a_time', 'cancel_previous')),
    missed TEXT NOT NULL CHECK (missed IN ('skip', 'once', 'all')),
    missed_window_ms INTEGER NOT NULL CHECK (missed_window_ms >= 0),
    pause_after_failures INTEGER CHECK (pause_after_failures >= 1),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    runs INTEGER NOT NULL CHECK (runs >= 0),
    due_at INTEGER,
    fire_at INTEGER,
    last_due_at INTEGER,
    last_fire_at INTEGER,
    counted_from INTEGER NOT NULL,
    workflow_id TEXT,
    place INTEGER,
    managed_by TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (fire_at IS NULL OR (enabled = 1 AND due_at IS NOT NULL AND fire_at >= due_at))
) STRICT;
CREATE UNIQUE INDEX schedules_name ON schedules (scope, name);
CREATE INDEX schedules_due ON schedules (fire_at) WHERE fire_at IS NOT NULL;
CREATE INDEX schedules_paused ON schedules (id) WHERE enabled = 0;
CREATE INDEX schedules_finished ON schedules (id) WHERE enabled = 1 AND fire_at IS NULL;
CREATE INDEX schedules_workflow ON schedules (workflow_id) WHERE workflow_id IS NOT NULL;

-- The history. times: how many due times a row of skipped ones stands for, the last of them due_at.
CREATE TABLE fires (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    schedule_id INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('due', 'manual', 'backfill')),
    due_at INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('fired', 'queued', 'skipped', 'failed')),
    reason TEXT,
    times INTEGER NOT NULL CHECK (times >= 1),
    task_ids TEXT NOT NULL,
    run_id INTEGER
) STRICT;
CREATE UNIQUE INDEX fires_once ON fires (schedule_id, kind, due_at) WHERE kind <> 'manual';
CREATE INDEX fires_schedule ON fires (schedule_id, id);
CREATE INDEX fires_queued ON fires (schedule_id, due_at) WHERE outcome = 'queued';
CREATE INDEX fires_decided ON fires (decided_at);

CREATE TABLE workflows (
    id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    paths TEXT,
    secrets TEXT,
    owner TEXT NOT NULL,
    latest INTEGER NOT NULL CHECK (latest >= 1),
    deployed INTEGER CHECK (deployed BETWEEN 1 AND latest),
    deployed_at INTEGER,
    managed_by TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX workflows_name ON workflows (scope, name);
CREATE INDEX workflows_deployed ON workflows (id) WHERE deployed IS NOT NULL;

CREATE TABLE workflow_versions (
    workflow_id TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number >= 1),
    definition TEXT NOT NULL,
    paths TEXT,
    secrets TEXT,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (workflow_id, number)
) STRICT, WITHOUT ROWID;

-- workflow_name, paths: as they were, for a run outlives its workflow.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    workflow_id TEXT NOT NULL,
    workflow_name TEXT NOT NULL,
    number INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
    paths TEXT,
    input TEXT NOT NULL,
    trigger TEXT NOT NULL,
    source TEXT NOT NULL,
    schedule_id INTEGER,
    reason TEXT,
    traceparent TEXT,
    deadline_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((status = 'running') = (finished_at IS NULL))
) STRICT;
CREATE INDEX runs_workflow ON runs (workflow_id, id);
CREATE INDEX runs_unfinished ON runs (id) WHERE finished_at IS NULL;
CREATE INDEX runs_deadline ON runs (deadline_at) WHERE finished_at IS NULL AND deadline_at IS NOT NULL;
CREATE INDEX runs_finished ON runs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX runs_schedule ON runs (schedule_id) WHERE schedule_id IS NOT NULL AND finished_at IS NULL;

-- tasks: the ids of what a step made, by item; take: how often it began, each time with other tasks.
CREATE TABLE run_steps (
    run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped', 'cancelled')),
    take INTEGER NOT NULL CHECK (take >= 1),
    tasks TEXT NOT NULL,
    reason TEXT,
    started_at INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (run_id, step_id)
) STRICT, WITHOUT ROWID;

-- What reached triggers. workflow_id: empty for what was for none. One trigger takes a key once. times: how many a row stands for,
-- the last of them at. pending: what a run is to begin with, once what is asked for is there or that is given up; due_at: when it
-- is asked for next, tries: how often it was in vain.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    workflow_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    type TEXT NOT NULL,
    key TEXT,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('fired', 'dry_run', 'duplicate', 'filtered', 'refused', 'failed', 'fetching')),
    reason TEXT,
    run_id INTEGER,
    facts TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    times INTEGER NOT NULL CHECK (times >= 1),
    pending TEXT,
    due_at INTEGER,
    tries INTEGER NOT NULL,
    CHECK ((outcome = 'fetching') = (pending IS NOT NULL AND due_at IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX deliveries_once ON deliveries (workflow_id, place, key)
    WHERE key IS NOT NULL AND outcome IN ('fired', 'dry_run', 'fetching');
CREATE INDEX deliveries_workflow ON deliveries (workflow_id, id);
CREATE INDEX deliveries_place ON deliveries (workflow_id, place, id);
CREATE INDEX deliveries_again ON deliveries (workflow_id, place, outcome, at) WHERE outcome IN ('refused', 'duplicate');
CREATE INDEX deliveries_fetching ON deliveries (due_at) WHERE outcome = 'fetching';
CREATE INDEX deliveries_at ON deliveries (at);
CREATE INDEX deliveries_mails ON deliveries (workflow_id, key) WHERE type = 'email';

-- What a deployed trigger remembers, and which server serves it.
CREATE TABLE trigger_states (
    workflow_id TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    version INTEGER NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    holder TEXT,
    held_until INTEGER,
    failing TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (workflow_id, place)
) STRICT, WITHOUT ROWID;

-- How far those have read the feed who act upon it.
CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    last_event INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE events ADD COLUMN run_id INTEGER;
ALTER TABLE events ADD COLUMN schedule_id INTEGER;
CREATE INDEX events_linked ON events (id) WHERE run_id IS NOT NULL OR schedule_id IS NOT NULL;

-- What a schedule has under way.
CREATE INDEX tasks_under_way ON tasks (schedule_id) WHERE schedule_id IS NOT NULL AND finished_at IS NULL;
-- What a run waits for.
CREATE INDEX tasks_awaited ON tasks (run_id) WHERE run_id IS NOT NULL AND finished_at IS NULL;

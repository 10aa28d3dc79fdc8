-- Which agent a task is for, what is known of each attempt, accounts whose quota is used up, and workers told to drain.

-- Empty: any agent. It may change in a run, with the first session that an agent begins.
ALTER TABLE tasks ADD COLUMN agent TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN agent TEXT;
ALTER TABLE attempts ADD COLUMN evidence TEXT;

-- A stream is (path, kind, host, agent): whoever asks for one agent's tasks walks past none of another's.
DROP INDEX tasks_waiting;
CREATE INDEX tasks_waiting ON tasks (path, kind, host, agent, rank, id) WHERE status = 'waiting';
CREATE INDEX tasks_quota ON tasks (account, id) WHERE status = 'parked' AND hold = 'quota';

-- scope: of the credentials that claim with this account, as in task_keys; paths: their patterns, a JSON list, NULL: everywhere.
CREATE TABLE accounts (
    scope TEXT NOT NULL,
    account TEXT NOT NULL,
    paths TEXT,
    held_until INTEGER,
    reason TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (scope, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_held ON accounts (held_until) WHERE held_until IS NOT NULL;

-- scope, paths: whose workers of this name are told, those of credentials that see no more than who told them.
CREATE TABLE drains (
    worker_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    paths TEXT,
    reason TEXT,
    since INTEGER NOT NULL,
    PRIMARY KEY (worker_id, scope)
) STRICT, WITHOUT ROWID;

-- What tasks and directories may use, and what is used. Costs are in millionths of a dollar, so that sums are exact.

-- JSON, see domain/budgets.py; NULL: no budget.
ALTER TABLE tasks ADD COLUMN budget TEXT;

-- Per day, UTC. reached_day: the day (since 1970) on which one of them was last seen used up, until the day after begins.
ALTER TABLE directories ADD COLUMN daily_tokens INTEGER CHECK (daily_tokens >= 0);
ALTER TABLE directories ADD COLUMN daily_micros INTEGER CHECK (daily_micros >= 0);
ALTER TABLE directories ADD COLUMN daily_attempts INTEGER CHECK (daily_attempts >= 0);
ALTER TABLE directories ADD COLUMN reached_day INTEGER;
CREATE INDEX directories_reached ON directories (reached_day) WHERE reached_day IS NOT NULL;

-- The ledger: kept in the transaction of what it counts, longer than the tasks. host: where the work was done.
CREATE TABLE task_usage (
    day INTEGER NOT NULL,
    path TEXT NOT NULL,
    host TEXT NOT NULL,
    model TEXT NOT NULL,
    agent TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (day, path, host, model, agent)
) STRICT, WITHOUT ROWID;

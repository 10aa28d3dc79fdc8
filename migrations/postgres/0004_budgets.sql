-- What tasks and directories may use, and what is used. Costs are in millionths of a dollar, so that sums are exact.

-- JSON, see domain/budgets.py; NULL: no budget.
ALTER TABLE tasks ADD COLUMN budget TEXT COLLATE "C";

-- Per day, UTC. reached_day: the day (since 1970) on which one of them was last seen used up, until the day after begins.
ALTER TABLE directories ADD COLUMN daily_tokens BIGINT CHECK (daily_tokens >= 0);
ALTER TABLE directories ADD COLUMN daily_micros BIGINT CHECK (daily_micros >= 0);
ALTER TABLE directories ADD COLUMN daily_attempts BIGINT CHECK (daily_attempts >= 0);
ALTER TABLE directories ADD COLUMN reached_day BIGINT;
CREATE INDEX directories_reached ON directories (reached_day) WHERE reached_day IS NOT NULL;

-- The ledger: kept in the transaction of what it counts, longer than the tasks. host: where the work was done.
CREATE TABLE task_usage (
    day BIGINT NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    agent TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    micros BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    PRIMARY KEY (day, path, host, model, agent)
) WITH (fillfactor = 20);

-- What is used by tag: a second ledger, for a task can have several. Of each task the first 16 are counted, see domain/accounts.py.
CREATE TABLE tag_usage (
    day BIGINT NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    tag TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    micros BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    PRIMARY KEY (day, path, tag)
) WITH (fillfactor = 20);

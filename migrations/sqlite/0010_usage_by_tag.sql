-- What is used by tag: a second ledger, for a task can have several. Of each task the first 16 are counted, see domain/accounts.py.
CREATE TABLE tag_usage (
    day INTEGER NOT NULL,
    path TEXT NOT NULL,
    tag TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (day, path, tag)
) STRICT, WITHOUT ROWID;

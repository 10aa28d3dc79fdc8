-- Keys, the addresses that may connect, who changed what, and which secrets a task asks for.

-- digest: SHA-256 of the whole key, which is nowhere. scopes, paths, secrets: JSON lists; paths NULL: everywhere. parent: of a session.
-- Keys for other directories may have the same name: who administers those alone must not learn of this one by it.
CREATE TABLE api_keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    scopes TEXT COLLATE "C" NOT NULL,
    paths TEXT COLLATE "C",
    secrets TEXT COLLATE "C" NOT NULL,
    rate TEXT COLLATE "C",
    parent TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    revoked_at BIGINT,
    last_used_at BIGINT,
    last_used_from TEXT COLLATE "C"
);
-- An index has no room for a hundred paths.
CREATE UNIQUE INDEX api_keys_name ON api_keys (name, hashtextextended(coalesce(paths, ''), 0))
    WHERE parent IS NULL AND revoked_at IS NULL;
CREATE INDEX api_keys_parent ON api_keys (parent) WHERE parent IS NOT NULL;

CREATE TABLE addresses (
    list TEXT COLLATE "C" NOT NULL CHECK (list IN ('allow', 'deny')),
    network TEXT COLLATE "C" NOT NULL,
    note TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (list, network)
);

ALTER TABLE tasks ADD COLUMN secrets TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN actor TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN origin TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Counts get the most room: while somebody holds an old snapshot, every version of them stays, and each page of them costs a visit.
ALTER TABLE task_counts SET (fillfactor = 10);
ALTER TABLE task_rates SET (fillfactor = 20);
ALTER TABLE task_durations SET (fillfactor = 20);

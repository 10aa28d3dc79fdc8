-- Keys, the addresses that may connect, who changed what, and which secrets a task asks for.

-- digest: SHA-256 of the whole key, which is nowhere. scopes, paths, secrets: JSON lists; paths NULL: everywhere. parent: of a session.
-- Keys for other directories may have the same name: who administers those alone must not learn of this one by it.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    paths TEXT,
    secrets TEXT NOT NULL,
    rate TEXT,
    parent TEXT,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    revoked_at INTEGER,
    last_used_at INTEGER,
    last_used_from TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX api_keys_name ON api_keys (name, coalesce(paths, '')) WHERE parent IS NULL AND revoked_at IS NULL;
CREATE INDEX api_keys_parent ON api_keys (parent) WHERE parent IS NOT NULL;

CREATE TABLE addresses (
    list TEXT NOT NULL CHECK (list IN ('allow', 'deny')),
    network TEXT NOT NULL,
    note TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (list, network)
) STRICT, WITHOUT ROWID;

ALTER TABLE tasks ADD COLUMN secrets TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN origin TEXT NOT NULL DEFAULT '';

-- What only SQLite says so.

-- name: last_ids
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);

-- name: next_stream
-- ?1 to ?3 the stream before it, ?4 where to end.
SELECT path, kind, host, rank, id FROM tasks WHERE status = 'waiting' AND (path, kind, host) > (?1, ?2, ?3) AND path < ?4
ORDER BY path, kind, host, rank, id LIMIT 1;

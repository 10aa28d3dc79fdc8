-- What only SQLite says so.

-- name: last_ids
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);

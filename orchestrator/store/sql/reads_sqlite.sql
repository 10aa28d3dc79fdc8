-- What only SQLite says so.

-- name: event_bounds
SELECT coalesce((SELECT min(id) FROM events), s.last + 1), s.last
FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS last) s;

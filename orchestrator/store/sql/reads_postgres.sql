-- What only PostgreSQL says so.

-- name: event_bounds
-- The sequence runs ahead of what is committed: it is asked only where no event is left.
SELECT coalesce((SELECT min(id) FROM events), s.last + 1), s.last
FROM (SELECT coalesce((SELECT max(id) FROM events), pg_sequence_last_value(pg_get_serial_sequence('events', 'id')::regclass), 0)
      AS last) s;

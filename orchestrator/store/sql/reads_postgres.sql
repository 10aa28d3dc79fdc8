-- What only PostgreSQL says so.

-- name: event_bounds
-- The sequence runs ahead of what is committed: it is asked only where no event is left.
SELECT coalesce((SELECT min(id) FROM events), s.last + 1), s.last
FROM (SELECT coalesce((SELECT max(id) FROM events), pg_sequence_last_value(pg_get_serial_sequence('events', 'id')::regclass), 0)
      AS last) s;

-- name: words_before
-- ?1 the words, ?2 and ?3 between which ids, ?4 how many.
SELECT * FROM tasks_with_words(?1::tsquery, ?2, ?3, -1, ?4);

-- name: words_after
SELECT * FROM tasks_with_words(?1::tsquery, ?2, ?3, 1, ?4);

-- name: words_newest
-- Whether each of the newest tasks has the words: where many have, no index finds the first ones sooner.
SELECT n.task_id, n.words @@ ?1::tsquery
FROM (SELECT task_id, words FROM task_words WHERE task_id > ?2 AND task_id < ?3 ORDER BY task_id DESC LIMIT ?4) n;

-- What only SQLite says so.

-- name: event_bounds
SELECT coalesce((SELECT min(id) FROM events), s.last + 1), s.last
FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) AS last) s;

-- name: words_before
-- ?1 the words, ?2 and ?3 between which ids, ?4 how many.
SELECT rowid FROM task_words WHERE task_words MATCH ?1 AND rowid > ?2 AND rowid < ?3 ORDER BY rowid DESC LIMIT ?4;

-- name: words_after
SELECT rowid FROM task_words WHERE task_words MATCH ?1 AND rowid > ?2 AND rowid < ?3 ORDER BY rowid LIMIT ?4;

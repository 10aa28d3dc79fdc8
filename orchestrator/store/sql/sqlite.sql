-- What only SQLite says so.

-- name: last_ids
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'tasks'), 0),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);

-- name: last_record_id
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0);

-- name: next_stream
-- ?1 to ?4 the stream before it, ?5 where to end. A comparison of rows would use the index for their first column alone, and
-- look at every task of the stream before it.
SELECT path, kind, host, agent, rank, id FROM tasks
WHERE status = 'waiting' AND path = ?1 AND kind = ?2 AND host = ?3 AND agent > ?4
UNION ALL
SELECT path, kind, host, agent, rank, id FROM tasks WHERE status = 'waiting' AND path = ?1 AND kind = ?2 AND host > ?3
UNION ALL
SELECT path, kind, host, agent, rank, id FROM tasks WHERE status = 'waiting' AND path = ?1 AND kind > ?2
UNION ALL
SELECT path, kind, host, agent, rank, id FROM tasks WHERE status = 'waiting' AND path > ?1 AND path < ?5
ORDER BY path, kind, host, agent, rank, id LIMIT 1;

-- name: remove_words
-- No trigger does it: then an older SQLite, that doesn't know this kind of index, could not even change a table in the file.
DELETE FROM task_words WHERE rowid = ?;

-- name: index_words
INSERT OR REPLACE INTO task_words (rowid, words) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM tasks WHERE id = ?1);

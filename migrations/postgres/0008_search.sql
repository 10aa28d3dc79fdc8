-- The words of tasks, see domain/words.py. It follows the feed: task_index says how far.

-- The words lie apart, so that the rows, of which a search may look at very many, are small. Statistics of them would be asked by
-- nobody, and take long.
CREATE TABLE task_words (
    task_id BIGINT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    words TSVECTOR NOT NULL
) WITH (toast_tuple_target = 128);
ALTER TABLE task_words ALTER words SET STORAGE EXTERNAL, ALTER words SET STATISTICS 0;
-- What is put in later, all at once, is done in a transaction for which others wait.
CREATE INDEX task_words_words ON task_words USING gin (words) WITH (gin_pending_list_limit = 256);

-- unread: tasks with ids up to this one, which were there before the index, are not in it yet.
CREATE TABLE task_index (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL,
    last_event BIGINT NOT NULL,
    unread BIGINT NOT NULL
);
INSERT INTO task_index (id, version, last_event, unread)
SELECT 1, 1, coalesce((SELECT max(id) FROM events), 0), coalesce((SELECT max(id) FROM tasks), 0);

-- By the index of words alone, which has no order: other plans would look at all tasks.
CREATE FUNCTION tasks_with_words(query tsquery, above bigint, below bigint, direction bigint, most bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE
SET enable_bitmapscan = on SET enable_indexscan = off SET enable_indexonlyscan = off
AS $$
    SELECT task_id FROM task_words WHERE words @@ query AND task_id > above AND task_id < below
    ORDER BY task_id * direction LIMIT most
$$;

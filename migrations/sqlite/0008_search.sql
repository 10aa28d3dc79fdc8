-- The words of tasks, see domain/words.py. It follows the feed: task_index says how far.

-- Words are separated by spaces already: this tokenizer leaves all but ASCII as it is. Only the index is kept, not the texts.
CREATE VIRTUAL TABLE task_words USING fts5 (words, content = '', contentless_delete = 1, tokenize = 'ascii');

-- unread: tasks with ids up to this one, which were there before the index, are not in it yet.
CREATE TABLE task_index (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    unread INTEGER NOT NULL
) STRICT;
INSERT INTO task_index (id, version, last_event, unread)
SELECT 1, 1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), coalesce((SELECT max(id) FROM tasks), 0);

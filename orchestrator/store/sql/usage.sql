-- The ledgers of what is used, for every dialect: see common.sql.

-- name: spent
SELECT coalesce(sum(input_tokens * 1.0 + output_tokens), 0), coalesce(sum(micros * 1.0), 0), coalesce(sum(attempts), 0)
FROM task_usage WHERE day = ?1 AND (path = ?2 OR (path > ?3 AND path < ?4)) AND (?5 = '' OR host = ?5);

-- name: forget_usage
DELETE FROM task_usage WHERE (day, path, host, model, agent) IN (
    SELECT day, path, host, model, agent FROM task_usage WHERE day < ? ORDER BY day LIMIT ?
);

-- name: forget_tag_usage
DELETE FROM tag_usage WHERE (day, path, tag) IN (
    SELECT day, path, tag FROM tag_usage WHERE day < ? ORDER BY day LIMIT ?
);

-- name: add_usage
-- None counts further than 2^61, which each transaction adds at most 2^60 to: a sum that is too large would fail what it is a part of.
INSERT INTO task_usage (day, path, host, model, agent, attempts, input_tokens, output_tokens, cached_tokens, micros, duration_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, path, host, model, agent) DO UPDATE SET
    attempts = CASE WHEN task_usage.attempts >= 2305843009213693952 THEN task_usage.attempts ELSE task_usage.attempts + excluded.attempts END,
    input_tokens = CASE WHEN task_usage.input_tokens >= 2305843009213693952 THEN task_usage.input_tokens ELSE task_usage.input_tokens + excluded.input_tokens END,
    output_tokens = CASE WHEN task_usage.output_tokens >= 2305843009213693952 THEN task_usage.output_tokens ELSE task_usage.output_tokens + excluded.output_tokens END,
    cached_tokens = CASE WHEN task_usage.cached_tokens >= 2305843009213693952 THEN task_usage.cached_tokens ELSE task_usage.cached_tokens + excluded.cached_tokens END,
    micros = CASE WHEN task_usage.micros >= 2305843009213693952 THEN task_usage.micros ELSE task_usage.micros + excluded.micros END,
    duration_ms = CASE WHEN task_usage.duration_ms >= 2305843009213693952 THEN task_usage.duration_ms ELSE task_usage.duration_ms + excluded.duration_ms END;

-- name: add_tag_usage
INSERT INTO tag_usage (day, path, tag, attempts, input_tokens, output_tokens, cached_tokens, micros, duration_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, path, tag) DO UPDATE SET
    attempts = CASE WHEN tag_usage.attempts >= 2305843009213693952 THEN tag_usage.attempts ELSE tag_usage.attempts + excluded.attempts END,
    input_tokens = CASE WHEN tag_usage.input_tokens >= 2305843009213693952 THEN tag_usage.input_tokens ELSE tag_usage.input_tokens + excluded.input_tokens END,
    output_tokens = CASE WHEN tag_usage.output_tokens >= 2305843009213693952 THEN tag_usage.output_tokens ELSE tag_usage.output_tokens + excluded.output_tokens END,
    cached_tokens = CASE WHEN tag_usage.cached_tokens >= 2305843009213693952 THEN tag_usage.cached_tokens ELSE tag_usage.cached_tokens + excluded.cached_tokens END,
    micros = CASE WHEN tag_usage.micros >= 2305843009213693952 THEN tag_usage.micros ELSE tag_usage.micros + excluded.micros END,
    duration_ms = CASE WHEN tag_usage.duration_ms >= 2305843009213693952 THEN tag_usage.duration_ms ELSE tag_usage.duration_ms + excluded.duration_ms END;

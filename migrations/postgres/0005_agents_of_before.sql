-- Tasks from before there were agents and budgets said in their specs for whom they are, and what they may use.
-- An escaped NUL in a text, of which PostgreSQL would make nothing, is taken for another character that nobody looks at.

UPDATE tasks t SET agent = s.spec ->> 'agent'
FROM (SELECT task_id, replace(spec, '\u0000', '\ufffd')::json AS spec FROM task_inputs) s
WHERE s.task_id = t.id AND t.kind = 'agent' AND t.agent = '' AND s.spec ->> 'agent' IS NOT NULL;

-- See domain/budgets.py.
UPDATE tasks t SET budget = json_build_object(
    'tokens', (s.spec #>> '{budget,tokens}')::bigint,
    'micros', round((s.spec #>> '{budget,cost_usd}')::numeric * 1000000)::bigint,
    'used_tokens', coalesce((s.used ->> 'input_tokens')::bigint, 0) + coalesce((s.used ->> 'output_tokens')::bigint, 0),
    'used_micros', coalesce(round((s.used ->> 'cost_usd')::numeric * 1000000)::bigint, 0)
)::text
FROM (
    SELECT i.task_id, replace(i.spec, '\u0000', '\ufffd')::json AS spec, o.usage_before::json AS used
    FROM task_inputs i LEFT JOIN task_outputs o ON o.task_id = i.task_id
) s
WHERE s.task_id = t.id AND t.kind = 'agent' AND t.budget IS NULL
  AND coalesce(s.spec #>> '{budget,tokens}', s.spec #>> '{budget,cost_usd}') IS NOT NULL;

-- Tasks from before there were agents and budgets said in their specs for whom they are, and what they may use.

UPDATE tasks SET agent = json_extract(i.spec, '$.agent')
FROM task_inputs i
WHERE i.task_id = tasks.id AND tasks.kind = 'agent' AND tasks.agent = '' AND json_extract(i.spec, '$.agent') IS NOT NULL;

-- See domain/budgets.py.
UPDATE tasks SET budget = json_object(
    'tokens', json_extract(i.spec, '$.budget.tokens'),
    'micros', CAST(round(json_extract(i.spec, '$.budget.cost_usd') * 1000000) AS INTEGER),
    'used_tokens', coalesce((
        SELECT coalesce(json_extract(o.usage_before, '$.input_tokens'), 0) + coalesce(json_extract(o.usage_before, '$.output_tokens'), 0)
        FROM task_outputs o WHERE o.task_id = i.task_id
    ), 0),
    'used_micros', coalesce((
        SELECT CAST(round(json_extract(o.usage_before, '$.cost_usd') * 1000000) AS INTEGER) FROM task_outputs o WHERE o.task_id = i.task_id
    ), 0)
)
FROM task_inputs i
WHERE i.task_id = tasks.id AND tasks.kind = 'agent' AND tasks.budget IS NULL
  AND coalesce(json_extract(i.spec, '$.budget.tokens'), json_extract(i.spec, '$.budget.cost_usd')) IS NOT NULL;

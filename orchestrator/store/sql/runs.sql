-- Workflows and their runs, for every dialect: see common.sql.

-- name: steps_of_run
SELECT {run_steps} FROM run_steps r WHERE r.run_id = ? {lock};

-- name: unfinished_runs
SELECT {runs} FROM runs r WHERE r.workflow_id = ? AND r.finished_at IS NULL ORDER BY r.id LIMIT ? {lock};

-- name: overdue_runs
SELECT {runs} FROM runs r WHERE r.finished_at IS NULL AND r.deadline_at IS NOT NULL AND r.deadline_at <= ?
ORDER BY r.deadline_at LIMIT ? {skip};

-- name: past_runs
SELECT {runs} FROM runs r WHERE r.finished_at IS NOT NULL AND r.finished_at < ?
  AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.run_id = r.id)
ORDER BY r.finished_at LIMIT ? {skip};

-- name: workflows_named
SELECT {workflows} FROM workflows r WHERE r.scope = ? AND r.name = ? {lock};

-- name: awaited
SELECT id, step_id, CASE WHEN cancel_requested_at IS NULL THEN 0 ELSE 1 END FROM tasks
WHERE run_id = ? AND finished_at IS NULL ORDER BY id;

-- name: statuses
SELECT id, status FROM tasks WHERE id {in};

-- name: result_sizes
SELECT task_id, length(result) FROM task_outputs WHERE task_id {in} AND result IS NOT NULL;

-- name: results
SELECT task_id, result FROM task_outputs WHERE task_id {in} AND result IS NOT NULL;

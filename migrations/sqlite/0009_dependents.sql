-- Who looks at a task is told what depends on it, also when that waits for it no longer.
CREATE INDEX dependencies_done ON dependencies (parent_id, child_id) WHERE satisfied = 1;

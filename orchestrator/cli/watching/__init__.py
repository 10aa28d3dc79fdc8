"""`orchestrator watch` on a terminal: what runs, what waits and why, what needs a person, and what to do about it."""

"""What does the work: a runner per kind of task."""

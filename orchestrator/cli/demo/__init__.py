"""`orchestrator demo`: a real server, a real worker and real tasks to watch."""

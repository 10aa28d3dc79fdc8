"""A durable queue per work directory that coding agents and plain workers pull from."""

__version__ = "0.6.0"

from orchestrator.deferring import defer

# Litestar's, for documents that we don't write, and for debugging: some megabytes of a server that has 60.
for name in ("yaml", "pdb"):
    defer(name)

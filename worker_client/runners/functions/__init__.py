"""Functions that come with the worker, and are offered only when it is told to: `--function builtin:NAME`."""

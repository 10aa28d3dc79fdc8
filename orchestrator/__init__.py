"""A durable queue per work directory that coding agents and plain workers pull from."""

__version__ = "0.1.0"

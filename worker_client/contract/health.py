"""Probes; the shapes are those of the third seed document and carry no envelope."""

from datetime import datetime

from msgspec import Struct


class Component(Struct, kw_only=True, omit_defaults=True):
    """One part of the server; `response_time` in milliseconds."""

    healthy: bool
    response_time: float
    last_checked: datetime
    message: str | None = None


class HealthMetrics(Struct, kw_only=True):
    """`memory_usage` as "78MB", `cpu_usage` in percent of one core."""

    memory_usage: str
    cpu_usage: float
    active_connections: int
    queue_size: int


class Health(Struct, kw_only=True):
    """How the server is; `uptime` as "1h30m". Without a key that sees all of it, it has no `metrics` and gives no reasons."""

    status: str
    timestamp: datetime
    version: str
    uptime: str
    components: dict[str, Component]
    metrics: HealthMetrics | None


class Probe(Struct, kw_only=True, omit_defaults=True):
    """The answer of a liveness or readiness probe."""

    status: str
    reason: str | None = None

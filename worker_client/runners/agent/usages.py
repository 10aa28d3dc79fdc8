"""What runs used, added up and taken apart: some command lines count on in a session that they resume."""

from worker_client.contract.reports import Usage


def added(one: Usage, other: Usage) -> Usage:
    """Both together; the model is the later one's."""
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        cost_usd=one.cost_usd + other.cost_usd,
        duration_ms=one.duration_ms + other.duration_ms,
        model=other.model or one.model,
    )


def since(total: Usage, before: Usage) -> Usage:
    """What came on top of `before`; never less than nothing."""
    return Usage(
        input_tokens=max(0, total.input_tokens - before.input_tokens),
        output_tokens=max(0, total.output_tokens - before.output_tokens),
        cached_tokens=max(0, total.cached_tokens - before.cached_tokens),
        cost_usd=max(0.0, total.cost_usd - before.cost_usd),
        duration_ms=total.duration_ms,
        model=total.model,
    )

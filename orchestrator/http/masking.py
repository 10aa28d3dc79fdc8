"""Masking what is large beside the event loop: looking for many secrets in megabytes takes seconds, in which others ask, too."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from orchestrator.http.scope import Asked

T = TypeVar("T")

_SMALL: Final = 64 * 1024
# One: each more that computes would make all others wait longer for their turn.
_aside: Final = ThreadPoolExecutor(1, "masking")


async def masked(request: Asked, function: Callable[..., T], *facts: Any) -> T:
    """What a function makes of facts and the redaction in force, its last argument."""
    redaction = request.app.state.redaction
    if redaction is None or _is_small(request):
        return function(*facts, redaction)
    return await asyncio.get_running_loop().run_in_executor(_aside, partial(function, *facts, redaction))


def _is_small(request: Asked) -> bool:
    return any(name == b"content-length" and int(value) <= _SMALL for name, value in request.scope["headers"])

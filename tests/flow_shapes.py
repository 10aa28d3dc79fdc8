"""A workflow of a thousand steps: a chain, diamonds, a fan-out of 500, and what gathers all of them."""

from collections.abc import Iterator
from typing import Any

from tests.flows import step

CHAIN, DIAMONDS, FANNED = 249, 187, 500


def large(chain: int = CHAIN, diamonds: int = DIAMONDS) -> list[dict[str, Any]]:
    """Steps; that with the id `list` has to have a list of 500 as its result."""
    return [*_steps(chain, diamonds)]


def _steps(chain: int, diamonds: int) -> Iterator[dict[str, Any]]:
    yield step("c0")
    for place in range(1, chain):
        yield step(f"c{place}", f"c{place - 1}", prompt=f"after {{{{ steps.c{place - 1}.result }}}}")
    ends = [f"c{chain - 1}"]
    for place in range(diamonds):
        before = [f"d{place - 1}_end"] if place % 10 else []
        yield step(f"d{place}_top", *before)
        yield step(f"d{place}_left", f"d{place}_top", prompt=f"{{{{ steps.d{place}_top.result }}}}")
        yield step(f"d{place}_right", f"d{place}_top", when="true")
        yield step(f"d{place}_end", f"d{place}_left", f"d{place}_right")
        if place % 10 == 9 or place == diamonds - 1:
            ends.append(f"d{place}_end")
    yield step("list")
    yield step("each", "list", for_each="{{ steps.list.result }}", prompt="{{ item }}")
    yield step("end", "each", *ends, prompt="{{ steps.each.results | length }}")

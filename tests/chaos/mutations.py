"""Guards of the server, each to be taken out: the checker must see that it is gone."""

from collections.abc import Callable
from typing import Final

MUTATIONS: Final[dict[str, Callable[[], None]]] = {}


def apply(name: str) -> None:
    """Take a guard out of this process."""
    MUTATIONS[name]()

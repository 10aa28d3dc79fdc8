"""Libraries that others import, and that we seldom or never need: loaded when something of them is asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, cast


class _Deferred(ModuleType):
    """Stands in for a module until then. importlib's LazyLoader would load it as soon as it is imported a second time."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def defer(name: str) -> None:
    """Have an import of a module load it at the first use of what is in it."""
    sys.modules.setdefault(name, _Deferred(name))


def installed(name: str) -> bool:
    """Whether a library of an extra is here."""
    return find_spec(name) is not None


@contextmanager
def without(name: str) -> Iterator[None]:
    """Within it, imports do as if a module were not there, where they can do without it."""
    before = sys.modules.get(name)
    sys.modules[name] = cast("ModuleType", None)  # by which Python knows that there is none
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before


def plain_tracebacks() -> None:
    """Load structlog without rich, with which it would draw tracebacks: 5 MB, and ours are plain."""
    with without("rich"):
        import_module("structlog")

"""Libraries that others import, and that we seldom or never need: loaded when something of them is asked for."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """Stands in for a module until then. importlib's LazyLoader would load it as soon as it is imported a second time."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def defer(name: str) -> None:
    """Have an import of a module load it at the first use of what is in it."""
    sys.modules.setdefault(name, _Deferred(name))

"""The stores of the conformance suite."""

from tests.conformance.conftest import embedded, rig

__all__ = ["embedded", "rig"]

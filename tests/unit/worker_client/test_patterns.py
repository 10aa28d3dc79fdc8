"""Patterns of the contract are about all of a text: `$` alone would let a line break behind it through."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import msgspec
import pytest

from worker_client import contract
from worker_client.contract.notifications import EmailTarget
from worker_client.contract.system import ReadSystemLogs


def _patterns() -> Iterator[str]:
    for module in pkgutil.iter_modules(contract.__path__):
        found = importlib.import_module(f"{contract.__name__}.{module.name}")
        for struct in vars(found).values():
            if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
                yield from re.findall(r"pattern='((?:[^'\\]|\\.)*)'", repr(msgspec.inspect.type_info(struct)))


def test_no_pattern_lets_a_line_break_through_at_the_end() -> None:
    found = {pattern.replace("\\\\", "\\") for pattern in _patterns()}
    assert len(found) > 10
    assert [pattern for pattern in found if pattern.endswith("$")] == []


@pytest.mark.parametrize(("kind", "sent"), [(ReadSystemLogs, {"level": "debug\n"}), (EmailTarget, {"to": ["a@example.org\n"]})])
def test_what_ends_with_a_line_break_is_refused(kind: type[msgspec.Struct], sent: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(sent, kind)

"""Math: two numbers, exactly."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from worker_client.runners.functions.refusing import Refused, invalid

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,100}(\.[0-9]{1,100})?")
_MOST_EXPONENT: Final = 1000
_MOST_BITS: Final = 12_000
_EXACT: Final = 2**53


def math(operator: str, one: object, other: object) -> dict[str, Any]:
    """`result` is a number where one is exact, else a fraction as text, such as "1/3", with `about`."""
    sign = str(operator).strip()
    if sign not in _OPERATORS:
        raise invalid(f"{sign[:20]!r} is no operator: use one of {' '.join(_OPERATORS)}")
    left, right = _number(one), _number(other)
    if right == 0 and sign in _DIVIDING:
        raise Refused("DivisionByZero", f"{left} {sign} 0 has no result: divide by another number")
    value = _OPERATORS[sign](left, right)
    about = float(value)
    told = {"expression": f"{one} {sign} {other}"}
    if value.denominator == 1:
        return {**told, "result": int(value) if abs(value) < _EXACT else str(value)}
    if Fraction(repr(about)) == value:
        return {**told, "result": about}
    return {**told, "result": str(value), "about": about}


def _number(given: object) -> Fraction:
    text = str(given).strip()
    if not _NUMBER.fullmatch(text):
        raise invalid(f"{text[:120]!r} is no number: write digits, with up to 100 before and 100 after the point")
    return Fraction(text)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > _MOST_EXPONENT:
        raise invalid(f"{exponent} is no exponent: use a whole number from -{_MOST_EXPONENT} to {_MOST_EXPONENT}")
    if base == 0 and exponent < 0:
        raise Refused("DivisionByZero", f"0 ^ {exponent} has no result: use another number")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > _MOST_BITS:
        raise invalid("the result would have thousands of digits: use smaller numbers")
    return Fraction(base ** int(exponent))


_OPERATORS: Final[dict[str, Callable[[Fraction, Fraction], Fraction]]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other,
    "%": lambda one, other: one % other,
    "^": _power,
}
_DIVIDING: Final = frozenset("/%")

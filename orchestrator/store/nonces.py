"""Randomness for leases."""

import os


class Nonces:
    """Random 64-bit numbers in hexadecimal; the system is asked for many at once, as each question costs a call of it."""

    def __init__(self) -> None:
        self._pool: list[str] = []

    def __call__(self) -> str:
        """The next one."""
        if not self._pool:
            text = os.urandom(8 * 256).hex()
            self._pool = [text[at : at + 16] for at in range(0, len(text), 16)]
        return self._pool.pop()

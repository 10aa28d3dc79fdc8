"""Where the files that ship with the program are: in a wheel below `_data`, in a checkout at its root."""

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent


def migrations(dialect: str = "sqlite") -> Path:
    """The directory of the numbered .sql files of one database."""
    return _directory("migrations") / dialect


def config() -> Path:
    """The directory of the settings that the program ships with."""
    return _directory("config")


def _directory(name: str) -> Path:
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name

"""The named queries as a dialect says them."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from orchestrator.domain.records import RECORDS
from orchestrator.store.rows import (
    ACCOUNT_COLUMNS,
    HEAD_COLUMNS,
    INPUT_FIELDS,
    KEY_COLUMNS,
    OUTPUT_FIELDS,
    RECORD_COLUMNS,
    SETTING_COLUMNS,
)

_MARK: Final = re.compile(r"\{([a-z_]+)(\d*)\}")


class Dialect(Struct, frozen=True):
    """How a database says what the common queries leave open; see sql/common.sql."""

    among: str
    lock: str
    skip: str


def fill(queries: Mapping[str, str], dialect: Dialect) -> dict[str, str]:
    """The named queries with their column lists and the words of a dialect filled in."""
    marks = {
        "head": HEAD_COLUMNS,
        "credential": KEY_COLUMNS,
        "setting": SETTING_COLUMNS,
        "account": ACCOUNT_COLUMNS,
        "inputs": ", ".join(f"i.{name}" for name in INPUT_FIELDS),
        "outputs": ", ".join(f"o.{name}" for name in OUTPUT_FIELDS),
        "in": dialect.among,
        "lock": dialect.lock,
        "skip": dialect.skip,
        **RECORD_COLUMNS,
    }
    loads = {
        f"load_{of.TABLE}": f"SELECT {RECORD_COLUMNS[of.TABLE]} FROM {of.TABLE} r"
        f" WHERE {' AND '.join(f'r.{name} = ?' for name in of.KEY)} {dialect.lock}"
        for of in RECORDS
    }
    return loads | {
        name: _MARK.sub(lambda mark: marks[mark[1]].replace("?", f"?{mark[2]}"), text).rstrip() for name, text in queries.items()
    }

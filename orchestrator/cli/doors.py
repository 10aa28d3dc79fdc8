"""Keys, lists of addresses and the audit trail, as people see them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.table import Table

from orchestrator.cli import output
from worker_client.contract.addresses import AddressLists
from worker_client.contract.audit import AuditEntry
from worker_client.contract.keys import Key


def key(one: Key) -> str:
    """How a key stands."""
    return f"key {one.id} ({one.name}): {_state(one)}, rate {_rate(one)}, expires {_expires(one)}"


def keys(found: list[Key]) -> Table:
    """Keys, a line each."""
    headers = ("ID", "NAME", "STATE", "SCOPES", "PATHS", "RATE", "EXPIRES", "LAST USED")
    rows = (
        (one.id, one.name, _state(one), ", ".join(one.scopes), _paths(one), _rate(one), _expires(one), _used(one))
        for one in found
    )
    return output.table(*headers, rows=rows)


def facts(one: Key) -> Table:
    """All that is known of a key."""

    def known() -> Iterator[tuple[str, str]]:
        yield "id", one.id
        yield "name", one.name
        yield "state", _state(one)
        yield "scopes", ", ".join(one.scopes)
        yield "paths", _paths(one)
        yield "secrets", ", ".join(one.secrets)
        yield "rate", _rate(one)
        yield "created", f"{output.moment(one.created_at)} by {one.created_by or output.SOMEBODY}"
        yield "expires", _expires(one)
        yield "revoked", output.moment(one.revoked_at)
        yield "last used", _used(one)

    return output.facts(known())


def addresses(lists: AddressLists) -> Iterator[Any]:
    """Who may connect."""
    yield f"you ask from {lists.your_ip}; " + (
        "only addresses that are allowed may connect" if lists.whitelist else "every address that is not denied may connect"
    )
    rows = (
        (which, entry.ip, output.moment(entry.created_at) or "from the settings", entry.created_by or "", entry.note)
        for which, entries in (("allow", lists.whitelist), ("deny", lists.blacklist))
        for entry in entries
    )
    if lists.whitelist or lists.blacklist:
        yield output.table("LIST", "ADDRESSES", "SINCE", "BY", "NOTE", rows=rows)


def entries(found: list[AuditEntry]) -> Table:
    """Changes, a line each."""
    rows = (
        (
            output.moment(one.at),
            one.actor_name or one.actor or "anybody",
            one.origin,
            one.type,
            str(one.task_id or ""),
            one.work_directory,
            msgspec.json.encode(one.data).decode() if one.data else "",
        )
        for one in found
    )
    return output.table("AT", "WHO", "FROM", "WHAT", "TASK", "DIRECTORY", "DETAILS", rows=rows, right=("TASK",))


def _state(one: Key) -> str:
    if one.revoked_at is not None:
        return "revoked"
    if one.disabled:
        return "disabled"
    return "expired" if one.expires_at is not None and one.expires_at <= datetime.now(UTC) else "good"


def _paths(one: Key) -> str:
    return "everywhere" if one.paths is None else ", ".join(one.paths)


def _rate(one: Key) -> str:
    return one.rate or "default"


def _expires(one: Key) -> str:
    return output.moment(one.expires_at) or "never"


def _used(one: Key) -> str:
    return f"{output.moment(one.last_used_at)} from {one.last_used_from}" if one.last_used_at else "never"

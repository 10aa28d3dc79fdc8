"""Who may ask, what was changed by whom, and the server itself."""

from msgspec import structs

from worker_client.contract import addresses, audit, keys, system
from worker_client.contract.enums import AddressList
from worker_client.contract.envelope import Page
from worker_client.endpoints.call import API, Call, Repeat, named, post, read

_LISTS = {AddressList.ALLOW: "whitelist", AddressList.DENY: "blacklist"}


def create_key(body: keys.CreateKey) -> Call[keys.CreatedKey]:
    """Make a key; what comes back in `key` is shown this once."""
    return post(f"{API}/auth/keys", keys.CreatedKey, body)


def list_keys(query: keys.ListKeys) -> Call[Page[keys.Key]]:
    """A page of keys, oldest first."""
    return read(f"{API}/auth/keys", Page[keys.Key], query)


def update_key(key_id: str, body: keys.UpdateKey) -> Call[keys.Key]:
    """Rename, disable, limit or extend a key."""
    return Call(method="PUT", path=_key(key_id), returns=keys.Key, body=body, repeat=Repeat.SAFE)


def revoke_key(key_id: str) -> Call[None]:
    """End a key and its sessions, for good."""
    return Call(method="DELETE", path=_key(key_id), returns=None)


def who_am_i() -> Call[keys.Identity]:
    """As whom the server knows this client, and what it may do."""
    return read(f"{API}/auth/me", keys.Identity)


def create_token(body: keys.CreateToken) -> Call[keys.Token]:
    """A short-lived token that can do no more than the key of this client."""
    return post(f"{API}/auth/token", keys.Token, body, Repeat.SAFE)


def system_metrics() -> Call[system.SystemMetrics]:
    """What the server has done since its start, and how it stands."""
    return read(f"{API}/system/metrics", system.SystemMetrics)


def list_audit(query: audit.ListAudit) -> Call[Page[audit.AuditEntry]]:
    """A page of the changes, newest first."""
    return read(f"{API}/audit", Page[audit.AuditEntry], query)


def address_lists() -> Call[addresses.AddressLists]:
    """Which addresses may connect."""
    return read(f"{API}/ip-control/status", addresses.AddressLists)


def add_address(which: AddressList | str, body: addresses.ChangeAddress) -> Call[addresses.AddressLists]:
    """Put an address or a network on the list `allow` or `deny`."""
    return post(_list(which, "add"), addresses.AddressLists, body, Repeat.SAFE)


def remove_address(which: AddressList | str, body: addresses.ChangeAddress) -> Call[addresses.AddressLists]:
    """Take an address or a network off the list `allow` or `deny`."""
    return post(_list(which, "remove"), addresses.AddressLists, body)


def reload() -> Call[system.Reloaded]:
    """Have the server read its settings anew."""
    return post(f"{API}/system/reload", system.Reloaded, None, Repeat.SAFE)


def system_info() -> Call[system.SystemInfo]:
    """What the server is, and how its scheduler stands."""
    return read(f"{API}/system/info", system.SystemInfo)


def start_scheduler() -> Call[system.SchedulerInfo]:
    """Have schedules fire, on all servers."""
    return post(f"{API}/system/scheduler/start", system.SchedulerInfo, None, Repeat.SAFE)


def stop_scheduler() -> Call[system.SchedulerInfo]:
    """Have no schedule fire, on all servers, until it is started again."""
    return post(f"{API}/system/scheduler/stop", system.SchedulerInfo, None, Repeat.SAFE)


def system_logs(query: system.ReadSystemLogs) -> Call[system.SystemLogPage]:
    """The last lines of the log of the server that answers."""
    return read(f"{API}/system/logs", system.SystemLogPage, structs.replace(query, format="json", download=False))


def _key(key_id: str) -> str:
    return f"{API}/auth/keys/{named(key_id)}"


def _list(which: AddressList | str, verb: str) -> str:
    return f"{API}/ip-control/{_LISTS[AddressList(which)]}/{verb}"

"""Keys, addresses and the audit trail through the client: what is sent, and what comes back."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.worker_client.peer import NOW, Asked, Peer, Reply
from worker_client.client import Client
from worker_client.contract.enums import Scope
from worker_client.errors import ServerUnreachable
from worker_client.exchange import Retries

QUICK = Retries(attempts=2, seconds=10, first=0.01, most=0.02)
KEY: dict[str, Any] = {
    "id": "0a1b", "name": "ci", "scopes": ["read", "submit"], "paths": ["/srv/**"], "secrets": [], "rate": None,
    "created_at": NOW, "created_by": "local", "expires_at": None, "disabled": False, "revoked_at": None, "last_used_at": None,
    "last_used_from": None,
}  # fmt: skip
LISTS = {"enabled": False, "your_ip": "127.0.0.1", "whitelist": [], "blacklist": []}
ENTRY = {
    "id": 7, "at": NOW, "type": "key.created", "actor": "0a1b", "actor_name": None, "origin": "", "task_id": None,
    "work_directory": "", "host": "", "data": {},
}  # fmt: skip


def asked(data: Any, call: Any, status: int = 200) -> tuple[Asked, Any]:
    """What a call sends, and what it makes of the answer."""

    async def respond(_: Asked) -> Reply:
        return Reply(status, data=data, raw=b"" if status == 204 else None)

    with Peer(respond) as peer, Client(peer.url, retries=QUICK) as client:
        came = call(client)
        return peer.asked[0], came


def test_a_key_is_made_with_what_was_said_only() -> None:
    ends = datetime(2030, 1, 2, tzinfo=UTC)
    given: dict[str, Any] = {"name": "ci", "scopes": ["read"], "paths": ["/srv/**"]}
    sent, made = asked({**KEY, "key": "orc_0a1b_ff"}, lambda client: client.create_key(**given, expires_at=ends))
    assert (sent.method, sent.path) == ("POST", "/api/v1/auth/keys")
    assert sent.body == {**given, "expires_at": "2030-01-02T00:00:00Z"}
    assert (made.key, made.scopes) == ("orc_0a1b_ff", [Scope.READ, Scope.SUBMIT])


def test_a_key_is_not_made_twice() -> None:
    async def hang_up(_: Asked) -> None:
        return None

    with Peer(hang_up) as peer, Client(peer.url, retries=QUICK) as client:
        with pytest.raises(ServerUnreachable):
            client.create_key(name="ci", scopes=[Scope.READ])
        assert len(peer.asked) == 1


def test_what_is_left_out_of_a_change_stays_and_none_takes_away() -> None:
    sent, key = asked(KEY, lambda client: client.update_key("0a/1b", disabled=True, rate=None))
    assert (sent.method, sent.path) == ("PUT", "/api/v1/auth/keys/0a%2F1b")
    assert sent.body == {"disabled": True, "rate": None}
    assert key.name == "ci"


def test_keys_are_listed_and_revoked() -> None:
    page = {"items": [KEY], "total": 1, "limit": 50, "offset": 0}
    sent, found = asked(page, lambda client: client.keys(revoked=True))
    assert (sent.method, sent.path, sent.query) == ("GET", "/api/v1/auth/keys", {"revoked": ["true"]})
    assert [key.id for key in found.items] == ["0a1b"]
    sent, none = asked(None, lambda client: client.revoke_key("0a1b"), 204)
    assert (sent.method, sent.path, none) == ("DELETE", "/api/v1/auth/keys/0a1b", None)


def test_a_client_asks_as_whom_it_is_known() -> None:
    sent, me = asked({"id": "0a1b", "scopes": ["read"], "paths": ["/a"]}, lambda client: client.who_am_i())
    assert (sent.method, sent.path) == ("GET", "/api/v1/auth/me")
    assert (me.id, me.scopes, me.paths) == ("0a1b", ["read"], ["/a"])


def test_a_token_is_made_of_the_key() -> None:
    token = {"token": "a.b.c", "token_type": "Bearer", "expires_at": NOW, "scopes": ["read"], "paths": None}
    sent, made = asked(token, lambda client: client.create_token(scopes=["read"], expires_in=60))
    assert (sent.method, sent.path, sent.body) == ("POST", "/api/v1/auth/token", {"scopes": ["read"], "expires_in": 60})
    assert made.token == "a.b.c"


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda client: client.add_address("allow", ip="10.0.0.0/8", note="n"), "whitelist/add"),
        (lambda client: client.add_address("deny", ip="10.0.0.0/8", note="n"), "blacklist/add"),
        (lambda client: client.remove_address("allow", ip="10.0.0.0/8", note="n"), "whitelist/remove"),
        (lambda client: client.remove_address("deny", ip="10.0.0.0/8", note="n"), "blacklist/remove"),
    ],
)
def test_addresses_are_put_on_lists_and_taken_off(call: Any, path: str) -> None:
    sent, lists = asked(LISTS, call)
    assert (sent.method, sent.path, sent.body) == ("POST", f"/api/v1/ip-control/{path}", {"ip": "10.0.0.0/8", "note": "n"})
    assert lists.your_ip == "127.0.0.1"


def test_lists_trail_and_settings_are_asked_for() -> None:
    assert asked(LISTS, lambda client: client.addresses())[0].path == "/api/v1/ip-control/status"
    page = {"items": [ENTRY], "total": 1, "limit": 2, "offset": 0, "next_cursor": "x"}
    sent, found = asked(page, lambda client: client.audit(actor=["a", "b"], limit=2, cursor="y"))
    assert (sent.path, sent.query) == ("/api/v1/audit", {"actor": ["a", "b"], "limit": ["2"], "cursor": ["y"]})
    assert (found.items[0].type, found.next_cursor) == ("key.created", "x")
    sent, done = asked({"changed": ["log.level"], "needs_restart": []}, lambda client: client.reload())
    assert (sent.method, sent.path, done.changed) == ("POST", "/api/v1/system/reload", ["log.level"])

"""Keys, sessions and addresses: who makes them, what they can do at most, and how they end."""

import json
from hashlib import sha256
from typing import Any

import pytest

from orchestrator.domain import operations as ops
from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.outcomes import Done, Keyed
from orchestrator.domain.principal import ALL_SCOPES, EVERYWHERE, SYSTEM, Principal, path_scope
from orchestrator.store.reads import doors
from tests.reading import read
from tests.rig import HOUR, Rig
from worker_client.contract.keys import Key, ListKeys
from worker_client.errors import Conflict, Forbidden, NotFound, ValidationFailed

DAY = 24 * HOUR
LIMITED = Principal("limited", ALL_SCOPES, path_scope(["/a/**"]), frozenset({"TOKEN"}))
"""May administer, but only there."""
READER = Principal("reader", frozenset({"read"}))


def made(id: str = "k1", name: str | None = None, **facts: Any) -> Credential:
    scopes = facts.pop("scopes", ("work",))
    return Credential(id=id, name=name or f"name of {id}", digest=sha256(id.encode()).hexdigest(), scopes=scopes, **facts)


def issue(id: str = "k1", name: str | None = None, **facts: Any) -> ops.IssueKey:
    return ops.IssueKey(credential=made(id, name, **facts))


def sign_in(id: str = "s1", **facts: Any) -> ops.OpenSession:
    return ops.OpenSession(credential=made(id, "sign-in", scopes=(), **facts))


def principal(id: str) -> Principal:
    """Who may do everything."""
    return Principal(id, ALL_SCOPES, secrets=None)


def stored(rig: Rig) -> dict[str, Credential]:
    return {one.id: one for one in read(rig, rig.store.reads.credentials())}


def shown(rig: Rig, by: Principal = SYSTEM, *, revoked: bool = False) -> list[Key]:
    return read(rig, rig.store.reads.keys(ListKeys(revoked=revoked), by.paths))


def told(rig: Rig) -> list[tuple[str, dict[str, Any]]]:
    """What the feed says of the server itself."""
    events = read(rig, rig.store.reads.events(0, 1_000, EVERYWHERE))
    return [(event.type, json.loads(event.data)) for event in events if not event.task_id]


def test_a_key_is_as_it_was_asked_for_and_what_only_the_rule_knows(rig: Rig) -> None:
    asked = made(
        scopes=("read", "work"), paths=("/a", "C:\\x\\**"), secrets=("TOKEN",), rate="600/m", expires_at=rig.time.at + 1,
        parent="nobody", created_at=1, created_by="somebody", disabled=True, revoked_at=1,
    )  # fmt: skip
    outcome = rig.do(ops.IssueKey(credential=asked), principal("admin"))
    expected = made(
        scopes=("read", "work"), paths=("/a", "C:\\x\\**"), secrets=("TOKEN",), rate="600/m", expires_at=rig.time.at + 1,
        created_at=rig.time.at, created_by="admin",
    )  # fmt: skip
    assert outcome == Keyed(expected)
    assert stored(rig) == {"k1": expected}
    (key,) = shown(rig)
    assert (key.id, key.paths, key.secrets, key.disabled, key.last_used_at) == ("k1", ["/a", "C:\\x\\**"], ["TOKEN"], False, None)
    assert read(rig, rig.store.reads.key("k1", EVERYWHERE)) == key
    assert expected.digest not in repr(key)


def test_the_feed_tells_of_a_key_without_its_digest(rig: Rig) -> None:
    rig.commit(ops.Submission(issue(scopes=("read",), paths=("/a",)), principal("admin"), None, "192.0.2.1"))
    (event,) = read(rig, rig.store.reads.events(0, 10, EVERYWHERE))
    assert (event.type, event.task_id, event.path, event.host, event.status) == ("key.created", 0, "", "", None)
    assert (event.actor, event.origin) == ("admin", "192.0.2.1")
    assert json.loads(event.data) == {"id": "k1", "name": "name of k1", "scopes": ["read"], "paths": ["/a"], "secrets": []}


def test_what_happens_to_tasks_says_who_did_it(rig: Rig) -> None:
    rig.add()
    grant = rig.take(by=principal("worker"), lease_ms=1_000)
    commit = rig.commit(ops.Submission(ops.Cancel(task_id=grant.task_id), principal("boss"), None, "2001:db8::1"))
    assert [(event.actor, event.origin) for event in commit.events] == [("boss", "2001:db8::1")]
    rig.pass_(HOUR)
    events = read(rig, rig.store.reads.events(0, 10, EVERYWHERE))
    assert [event.actor for event in events] == ["", "worker", "boss", "system"]
    assert events == rig.events


def test_two_keys_never_have_one_name(rig: Rig) -> None:
    one, other = rig.outcomes(issue("k1", "ci"), issue("k2", "ci"))
    assert isinstance(one, Keyed)
    assert isinstance(other, Conflict)
    with pytest.raises(Conflict, match="'ci' already"):
        rig.do(issue("k3", "ci"))
    rig.do(issue("k4"))
    with pytest.raises(Conflict) as refusal:
        rig.do(ops.ChangeKey(id="k4", name="ci"))
    assert refusal.value.details["field"] == "name"
    rig.do(ops.ChangeKey(id="k1", name="ci"))
    # A session has the name of nothing.
    rig.do(sign_in("s1"), principal("k1"))
    rig.do(issue("k5", "sign-in"))


def test_that_a_name_is_taken_elsewhere_is_not_told(rig: Rig) -> None:
    rig.do(issue("k1", "ci", paths=("/b/**",)))
    rig.do(issue("k2", "everywhere"))
    for mine, name in (("k3", "ci"), ("k4", "everywhere")):
        rig.do(issue(mine, name, paths=("/a/**",)), LIMITED)
        with pytest.raises(Conflict):
            rig.do(issue("k9", name, paths=("/a/**",)), LIMITED)
    rig.do(issue("k5", "other", paths=("/a/b",)), LIMITED)
    with pytest.raises(Conflict):
        rig.do(ops.ChangeKey(id="k5", name="ci"), LIMITED)
    # Who sees both does not make a third.
    with pytest.raises(Conflict):
        rig.do(issue("k6", "ci"))
    rig.do(ops.RevokeKey(id="k3"))
    rig.do(ops.ChangeKey(id="k5", name="ci"), LIMITED)
    assert {(key.id, key.name) for key in shown(rig)} == {
        ("k1", "ci"), ("k2", "everywhere"), ("k4", "everywhere"), ("k5", "ci"),
    }  # fmt: skip


def test_a_name_is_free_again_within_the_same_transaction(rig: Rig) -> None:
    rig.do(issue("k1", "ci"))
    batch = [ops.RevokeKey(id="k1"), issue("k2", "ci"), ops.ChangeKey(id="k2", name="cd"), issue("k3", "ci")]
    outcomes = rig.outcomes(*batch, ops.ChangeKey(id="k3", rate="1/s"))
    assert [type(outcome) for outcome in outcomes] == [Keyed] * 5
    assert {(key.id, key.name, key.rate) for key in shown(rig)} == {("k2", "cd", None), ("k3", "ci", "1/s")}


def test_a_key_may_be_for_many_directories(rig: Rig) -> None:
    many = tuple(f"/{sha256(str(number).encode()).hexdigest() * 15}" for number in range(100))
    rig.do(issue(paths=many))
    assert stored(rig)["k1"].paths == many


def test_a_key_does_not_end_before_it_begins(rig: Rig) -> None:
    for op in (issue(expires_at=rig.time.at), sign_in(expires_at=rig.time.at)):
        with pytest.raises(ValidationFailed) as refusal:
            rig.do(op)
        assert refusal.value.details["field"] == "expires_at"
    rig.do(issue())
    with pytest.raises(ValidationFailed):
        rig.do(ops.ChangeKey(id="k1", expires_at=rig.time.at))
    rig.do(ops.ChangeKey(id="k1", expires_at=rig.time.at + 1))
    rig.do(ops.ChangeKey(id="k1", expires_at=None))


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"paths": None}, "paths"),
        ({"paths": ("/**",)}, "paths"),
        ({"paths": ("/a/**", "/b")}, "paths"),
        ({"paths": ("/ab/**",)}, "paths"),
        ({"paths": ("/a/x",), "secrets": ("TOKEN", "OTHER")}, "secrets"),
        ({"paths": ("/a/x",), "secrets": ("*",)}, "secrets"),
    ],
)
def test_nobody_gives_away_more_than_they_have(rig: Rig, facts: dict[str, Any], field: str) -> None:
    before = rig.dump()
    with pytest.raises(Forbidden) as refusal:
        rig.do(issue(**facts), LIMITED)
    assert refusal.value.details["field"] == field
    assert rig.dump() == before


def test_who_sees_some_directories_has_the_keys_of_those(rig: Rig) -> None:
    rig.do(issue("k1", paths=("/a/x/**",), secrets=("TOKEN",)), LIMITED)
    rig.do(issue("k2", paths=("/b/**",)))
    rig.do(issue("k3"))
    rig.do(issue("k4", paths=("/a/**", "/b")))
    assert [key.id for key in shown(rig, LIMITED)] == ["k1"]
    assert read(rig, rig.store.reads.key("k1", LIMITED.paths)) is not None
    for other in ("k2", "k3", "k4", "k9"):
        assert read(rig, rig.store.reads.key(other, LIMITED.paths)) is None
        with pytest.raises(NotFound, match=f"no key {other}"):
            rig.do(ops.ChangeKey(id=other, disabled=True), LIMITED)
        with pytest.raises(NotFound, match=f"no key {other}"):
            rig.do(ops.RevokeKey(id=other), LIMITED)
    with pytest.raises(Forbidden):
        rig.do(ops.ChangeKey(id="k1", secrets=("OTHER",)), LIMITED)
    rig.do(ops.ChangeKey(id="k1", secrets=()), LIMITED)
    rig.do(ops.RevokeKey(id="k1"), LIMITED)
    assert [key.id for key in shown(rig, LIMITED, revoked=True)] == ["k1"]


def test_what_is_left_out_of_a_change_stays(rig: Rig) -> None:
    rig.do(issue(paths=("/a",), secrets=("A",), rate="1/s", expires_at=rig.time.at + HOUR))
    before = stored(rig)["k1"]
    rig.do(ops.ChangeKey(id="k1"))
    assert stored(rig)["k1"] == before
    rig.do(ops.ChangeKey(id="k1", name="new", disabled=True, secrets=("*",), rate=None, expires_at=None))
    changes = {"name": "new", "disabled": True, "secrets": ["*"], "rate": None, "expires_at": None}
    after = stored(rig)["k1"]
    assert (after.name, after.disabled, after.secrets, after.rate, after.expires_at) == ("new", True, ("*",), None, None)
    for name in ("digest", "scopes", "paths", "created_at"):
        assert getattr(after, name) == getattr(before, name)
    assert told(rig)[-1] == ("key.changed", {"id": "k1", "name": "new", "changes": changes})


def test_a_revoked_key_and_its_sessions_are_so_for_good(rig: Rig) -> None:
    rig.do(issue("k1", "ci"))
    rig.do(issue("k2"))
    for session, by in (("s1", "k1"), ("s2", "k1"), ("s3", "k2")):
        rig.do(sign_in(session), principal(by))
    rig.time.pass_(5)
    # One of them is opened in the very batch.
    outcomes = rig.outcomes(ops.Submission(sign_in("s4"), principal("k1")), ops.RevokeKey(id="k1"))
    assert isinstance(outcomes[1], Keyed)
    assert outcomes[1].credential.revoked_at == rig.time.at
    ended = {name: one.revoked_at for name, one in stored(rig).items()}
    assert ended == {"k1": rig.time.at, "s1": rig.time.at, "s2": rig.time.at, "s4": rig.time.at, "k2": None, "s3": None}
    assert told(rig)[-1] == ("key.revoked", {"id": "k1", "name": "ci"})
    before = rig.dump()
    assert rig.do(ops.RevokeKey(id="k1")) == outcomes[1]
    with pytest.raises(Conflict, match="for good"):
        rig.do(ops.ChangeKey(id="k1", disabled=False))
    assert rig.dump() == before
    assert [key.id for key in shown(rig)] == ["k2"]
    assert [key.id for key in shown(rig, revoked=True)] == ["k1", "k2"]


def test_of_the_revoked_a_server_remembers_the_last(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "_REVOKED", 1)
    for id_ in ("k1", "k2", "k3"):
        rig.do(issue(id_))
    for id_ in ("k3", "k1"):
        rig.time.pass_(1)
        rig.do(ops.RevokeKey(id=id_))
    assert stored(rig).keys() == {"k1", "k2"}


def test_everybody_ends_their_own_sessions_and_nothing_else(rig: Rig) -> None:
    rig.do(issue("reader"))
    rig.do(issue("other"))
    rig.do(sign_in("s1"), READER)
    rig.do(sign_in("s2"), principal("other"))
    for other in ("reader", "other", "s2", "k9"):
        with pytest.raises(Forbidden, match="scope admin"):
            rig.do(ops.RevokeKey(id=other), READER)
    rig.do(ops.RevokeKey(id="s1"), READER)
    assert told(rig)[-1] == ("key.revoked", {"id": "s1", "name": "sign-in", "parent": "reader"})
    rig.do(ops.RevokeKey(id="s2"))
    assert stored(rig)["reader"].revoked_at is None


def test_a_session_can_do_what_who_opens_it_can_and_no_longer(rig: Rig) -> None:
    soon, later = rig.time.at + 1_000, rig.time.at + 2_000
    rig.do(issue("limited", rate="5/s", expires_at=soon))
    rig.do(sign_in("s1", expires_at=later, rate="9/s", secrets=("*",), paths=None), LIMITED)
    rig.do(sign_in("s2", expires_at=later), principal("bootstrap"))
    one, other = stored(rig)["s1"], stored(rig)["s2"]
    assert (one.scopes, one.paths, one.secrets) == (("admin", "read", "submit", "work"), ("/a/**",), ("TOKEN",))
    assert (one.parent, one.rate, one.expires_at, one.created_by) == ("limited", "5/s", soon, "limited")
    assert (other.paths, other.secrets, other.parent, other.rate, other.expires_at) == (None, ("*",), "bootstrap", None, later)
    assert told(rig)[-1] == ("session.opened", {"id": "s2", "name": "sign-in", "parent": "bootstrap", "expires_at": later})
    assert [key.id for key in shown(rig)] == ["limited"]
    assert read(rig, rig.store.reads.key("s1", EVERYWHERE)) is None
    with pytest.raises(NotFound):
        rig.do(ops.ChangeKey(id="s1", expires_at=None))


def test_whoever_signs_in_again_and_again_ends_the_oldest_sessions(rig: Rig) -> None:
    rig.do(sign_in("other"), principal("k2"))
    for number in range(22):
        rig.time.pass_(1)
        rig.do(sign_in(f"s{number}"), principal("k1"))
    assert [id_ for id_, one in stored(rig).items() if one.revoked_at is not None] == ["s0", "s1"]


def test_who_is_shut_out_opens_no_session(rig: Rig) -> None:
    rig.do(issue("k1"))
    rig.do(issue("k2"))
    rig.do(ops.ChangeKey(id="k1", disabled=True))
    refused = rig.outcomes(
        ops.RevokeKey(id="k2"), ops.Submission(sign_in("s1"), principal("k1")), ops.Submission(sign_in("s2"), principal("k2"))
    )
    assert [type(outcome) for outcome in refused] == [Keyed, Forbidden, Forbidden]


def test_the_last_use_of_a_key_only_goes_forward(rig: Rig) -> None:
    rig.do(issue("k1"))
    rig.do(issue("k2"))
    at = rig.time.at
    rig.do(ops.UseKeys(uses=(ops.Use("k1", at + 2, "b"), ops.Use("k1", at + 1, "a"), ops.Use("k9", at, "c"))), SYSTEM)
    rig.do(ops.UseKeys(uses=(ops.Use("k1", at + 1, "old"), ops.Use("k2", at + 5, "d"))), SYSTEM)
    uses = {key.id: (key.last_used_at and round(key.last_used_at.timestamp() * 1000), key.last_used_from) for key in shown(rig)}
    assert uses == {"k1": (at + 2, "b"), "k2": (at + 5, "d")}
    assert [kind for kind, _ in told(rig)] == ["key.created"] * 2


def test_sessions_are_forgotten_a_day_after_they_ended_and_keys_never(rig: Rig) -> None:
    rig.do(issue("k1", expires_at=rig.time.at + 1))
    rig.do(issue("k2"))
    rig.do(sign_in("expired", expires_at=rig.time.at + 1), principal("bootstrap"))
    rig.do(sign_in("revoked"), principal("k2"))
    rig.do(sign_in("good", expires_at=rig.time.at + 10 * DAY), principal("k3"))
    rig.do(ops.RevokeKey(id="k2"))
    prune = ops.Prune(before=0, keys_before=0)
    rig.time.pass_(DAY)
    rig.do(prune, SYSTEM)
    assert len(stored(rig)) == 5
    rig.time.pass_(2)
    rig.do(prune, SYSTEM)
    assert stored(rig).keys() == {"k1", "k2", "good"}


def test_addresses_are_put_on_lists_and_taken_off(rig: Rig) -> None:
    def listed() -> list[tuple[str, str, str]]:
        return [(one.list, one.network, one.note) for one in read(rig, rig.store.reads.addresses())]

    deny = Entry(list="deny", network="192.0.2.0/24", note="noisy")
    rig.do(ops.SetAddress(entry=deny), principal("admin"))
    (entry,) = read(rig, rig.store.reads.addresses())
    assert (entry.created_at, entry.created_by) == (rig.time.at, "admin")
    rig.commit(
        ops.SetAddress(entry=Entry(list="deny", network="192.0.2.0/24", note="very")),
        ops.SetAddress(entry=Entry(list="allow", network="::1/128")),
        ops.SetAddress(entry=Entry(list="allow", network="10.0.0.0/8")),
        ops.SetAddress(entry=Entry(list="allow", network="10.0.0.0/8"), listed=False),
    )
    assert listed() == [("allow", "::1/128", ""), ("deny", "192.0.2.0/24", "very")]
    outcomes = rig.outcomes(ops.SetAddress(entry=deny, listed=False), ops.SetAddress(entry=deny, listed=False))
    assert outcomes == [Done(1), Done(0)]
    assert listed() == [("allow", "::1/128", "")]
    assert told(rig)[0] == ("address.added", {"list": "deny", "network": "192.0.2.0/24", "note": "noisy"})
    assert [kind for kind, _ in told(rig)].count("address.removed") == 2


def test_the_whole_server_is_for_those_who_administer_all_of_it(rig: Rig) -> None:
    before = rig.dump()
    for op in (ops.SetAddress(entry=Entry(list="deny", network="::/0")), ops.Note(type="settings.reloaded", data="{}")):
        with pytest.raises(Forbidden, match="whole server"):
            rig.do(op, LIMITED)
    assert rig.dump() == before
    rig.do(ops.Note(type="settings.reloaded", data='{"changed":["log.level"]}'), SYSTEM)
    assert told(rig) == [("settings.reloaded", {"changed": ["log.level"]})]


def test_the_feed_tells_of_a_directory_that_is_set(rig: Rig) -> None:
    rig.commit(ops.Submission(ops.SetDirectory(path="/a", host="box", paused=True, reason="holidays"), LIMITED, None, "::1"))
    (event,) = rig.events
    assert (event.type, event.task_id, event.path, event.host, event.status) == ("directory.changed", 0, "/a", "box", None)
    assert (event.actor, event.origin) == ("limited", "::1")
    assert json.loads(event.data) == {"paused": True, "reason": "holidays", "max_running": None}
    assert read(rig, rig.store.reads.events(0, 10, path_scope(["/b/**"]))) == []
    assert read(rig, rig.store.reads.events(0, 10, LIMITED.paths)) == [event]

"""When a server is open, whom it knows, and what it says of that before anybody comes."""

import json
import secrets
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.credential import Credential
from orchestrator.domain.principal import Principal
from orchestrator.doors.doors import Doors
from orchestrator.doors.keyring import BOOTSTRAP, Keyring, Means, digest
from orchestrator.doors.local import announced
from orchestrator.doors.rates import Rates
from orchestrator.settings import Auth, Database, Server, Settings, SettingsError
from tests.signers import PEM, SECRET

KEY = "k" * 40
DAY = 86_400_000


def credential(name: str = "a key", **facts: Any) -> Credential:
    """A stored key; its text is its name."""
    usual = {"id": name, "name": name, "digest": digest(name).hex(), "scopes": ("read",)}
    return Credential(**{**usual, **facts})


def doors(settings: Settings | None = None, *credentials: Credential) -> Doors:
    """The doors of a server that has started."""
    made = Doors(settings or Settings(), Rates(lambda: 0), lambda: 0, secrets.token_hex)
    made.load(credentials, [])
    return made


@pytest.mark.parametrize(
    ("auth", "host", "credentials", "is_open"),
    [
        (Auth(), "127.0.0.1", [], True),
        (Auth(), "::1", [], True),
        (Auth(), "localhost", [], True),
        (Auth(), "0.0.0.0", [], False),  # noqa: S104 - it is not open there
        (Auth(), "127.0.0.1", [credential()], False),
        (Auth(), "127.0.0.1", [credential(revoked_at=1)], False),
        (Auth(), "127.0.0.1", [credential(disabled=True)], False),
        (Auth(), "127.0.0.1", [credential(expires_at=-1)], False),
        (Auth(bootstrap_key=KEY), "127.0.0.1", [], False),
        (Auth(jwt_secret=SECRET), "127.0.0.1", [], False),
        (Auth(mode="required"), "127.0.0.1", [], False),
        (Auth(mode="open"), "127.0.0.1", [], True),
        (Auth(mode="open", bootstrap_key=KEY), "127.0.0.1", [credential()], True),
    ],
)
def test_a_server_is_open_on_its_own_machine_while_it_knows_nobody(
    auth: Auth, host: str, credentials: list[Credential], *, is_open: bool
) -> None:
    assert doors(Settings(auth=auth, server=Server(host=host)), *credentials).open is is_open


def test_tokens_of_others_close_it_too(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(PEM)
    assert not doors(Settings(auth=Auth(jwt_public_key_file=str(tmp_path / "key.pem")))).open


def test_settings_that_cannot_be_read_anew_change_nothing(tmp_path: Path) -> None:
    made = doors(Settings(auth=Auth(bootstrap_key=KEY)))
    wrong = Settings(auth=Auth(mode="open", jwt_jwks_file=str(tmp_path / "nothing")), server=Server(deny=("127.0.0.1",)))
    with pytest.raises(SettingsError, match="nothing"):
        made.configure(wrong)
    assert not made.open
    assert made.bearer(KEY.encode()).principal.id == BOOTSTRAP
    assert made.addresses.refused("127.0.0.1") is None


@pytest.mark.parametrize("auth", [Auth(), Auth(mode="required")])
def test_beyond_its_machine_a_server_that_knows_nobody_does_not_start(auth: Auth) -> None:
    settings = Settings(auth=auth, server=Server(host="10.0.0.1"), database=Database(url="postgresql://me:hidden@db/tasks"))
    with pytest.raises(
        SettingsError, match="keys create --name admin --scope admin --database postgresql://me:\\*\\*\\*@db/tasks"
    ):
        doors(settings).look()
    doors(settings, credential(disabled=True)).look()
    doors(Settings(auth=Auth(bootstrap_key=KEY), server=Server(host="10.0.0.1"))).look()
    doors(Settings(auth=auth)).look()


def test_a_server_alone_has_a_key_for_its_machine_and_those_that_share_have_none() -> None:
    alone, sharing = doors(), doors(Settings(database=Database(url="postgresql://db/tasks")))
    assert alone.bearer(alone.local.encode()).principal.administers
    assert sharing.local == ""
    assert doors().local != alone.local


# The keyring


def ring(*credentials: Credential, **own: str) -> Keyring:
    made = Keyring()
    made.own(own)
    made.load(credentials)
    return made


def test_a_key_is_found_by_its_digest_alone() -> None:
    made = ring(credential("one", scopes=("admin",), paths=("/a/**",), secrets=("*",), rate="5/m"), credential("two"))
    caller = made.find(digest("one"), 0)
    assert caller is not None
    assert (caller.means, caller.key, caller.rate) == (Means.KEY, "one", "5/m")
    assert caller.principal.scopes == {"read", "submit", "work", "admin"}
    assert caller.principal.secrets is None
    assert caller.principal.paths.covers("/a/b")
    assert not caller.principal.paths.covers("/b")
    assert made.find(b"one", 0) is None
    assert "not known" in made.problem(b"one", 0)


@pytest.mark.parametrize(
    ("facts", "why"), [({"revoked_at": 1}, "revoked"), ({"disabled": True}, "disabled"), ({"expires_at": DAY}, "expired")]
)
def test_a_key_that_is_no_longer_good_is_not_found_nor_are_its_sessions(facts: dict[str, Any], why: str) -> None:
    session = credential("session", parent="one", expires_at=2 * DAY)
    good, bad = ring(credential("one"), session), ring(session, credential("one", **facts))
    for name in ("one", "session"):
        assert good.find(digest(name), DAY) is not None
        assert bad.find(digest(name), DAY) is None
    assert why in bad.problem(digest("one"), DAY)
    assert good.find(digest("session"), 2 * DAY) is None


def test_a_session_can_do_what_its_key_can_by_now() -> None:
    session = credential("session", parent="one", scopes=("admin",), secrets=("A", "B"))
    caller = ring(session, credential("one", scopes=("read",), secrets=("A",), rate="1/s")).find(digest("session"), 0)
    assert caller is not None
    assert caller.principal == Principal(id="one", scopes=frozenset({"read"}), secrets=frozenset({"A"}))
    assert (caller.means, caller.rate) == (Means.SESSION, "1/s")
    assert ring(session).find(digest("session"), 0) is None


# The file beside the database


def test_the_file_beside_the_database_is_for_its_owner_and_for_the_time_of_the_server(tmp_path: Path) -> None:
    file = tmp_path / "tasks.db.serving"
    file.write_text("of a server that was killed")
    file.chmod(0o644)
    with announced(tmp_path / "tasks.db", "a key") as announce:
        announce("http://127.0.0.1:1")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        told = json.loads(file.read_text())
        assert (told["address"], told["key"]) == ("http://127.0.0.1:1", "a key")
        assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert not file.exists()
    with announced(None, "") as announce:
        announce("http://127.0.0.1:1")

"""Secrets that are stored because the server itself needs them."""

import stat
from pathlib import Path

import pytest

from orchestrator.domain.principal import OPEN, Principal
from orchestrator.doors.sealing import SEALED, SealedError, Sealing, names, shown
from orchestrator.doors.secrets import Secrets
from worker_client.errors import Forbidden, ValidationFailed

SECRET = "a-secret-of-somebody"
KEY, OTHER = "k" * 32, "o" * 32


def sealing(key: str = "", database: Path | None = None, **secrets: str) -> Sealing:
    made = Sealing()
    made.configure(key, database, Secrets(secrets))
    return made


def test_what_is_sealed_is_opened_with_the_key_and_not_with_another() -> None:
    kept = sealing(KEY).kept(SECRET, OPEN, "secret")
    assert kept.startswith(SEALED)
    assert SECRET not in kept
    assert sealing(KEY).revealed(kept) == SECRET
    assert sealing(f"{OTHER},{KEY}").revealed(kept) == SECRET
    for wrong in (sealing(OTHER), sealing()):
        with pytest.raises(SealedError, match=r"secrets\.key") as refusal:
            wrong.revealed(kept)
        assert SECRET not in str(refusal.value)
    with pytest.raises(SealedError):
        sealing(KEY).revealed(kept[:-8] + "AAAAAAA=")


def test_beside_a_database_file_the_key_is_made_when_it_is_first_needed_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    database = tmp_path / "tasks.db"
    file = tmp_path / "tasks.db.key"
    one = sealing(database=database)
    with pytest.raises(SealedError):
        one.revealed(SEALED + "what")
    assert not file.exists()
    kept = one.kept(SECRET, OPEN, "secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.db.key"]
    again = sealing(database=database)
    assert again.revealed(kept) == SECRET
    assert again.revealed(again.kept("another", OPEN, "secret")) == "another"
    assert sealing(file.read_text()).revealed(kept) == SECRET


def test_without_a_file_and_a_key_nothing_is_kept() -> None:
    with pytest.raises(ValidationFailed, match="APP_SECRETS_KEY") as refusal:
        sealing().kept(SECRET, OPEN, "triggers[0].auth.secret")
    assert SECRET not in str(refusal.value.body)
    assert refusal.value.details["field"] == "triggers[0].auth.secret"


def test_a_secret_of_the_server_is_named_and_not_kept() -> None:
    here = sealing(HOOK=SECRET)
    reference = "{{ secrets.HOOK }}"
    assert here.kept(reference, OPEN, "secret") == reference
    assert here.revealed(reference) == SECRET
    assert (names(reference), names("sealed:x")) == ("HOOK", None)
    assert (shown(reference), shown("sealed:x"), shown("")) == (reference, "***", "")
    with pytest.raises(SealedError, match="HOOK"):
        sealing().revealed(reference)
    with pytest.raises(ValidationFailed, match="there is no secret NONE"):
        here.kept("{{ secrets.NONE }}", OPEN, "secret")
    with pytest.raises(Forbidden, match="HOOK"):
        here.kept(reference, Principal(id="k", secrets=frozenset({"ELSE"})), "secret")


@pytest.mark.parametrize("sent", ["{{ secrets.HOOK }} and more", "{{ input.x }}", f"{SEALED}abc", "***"])
def test_what_only_looks_like_one_is_refused(sent: str) -> None:
    with pytest.raises(ValidationFailed, match="is not a secret"):
        sealing(KEY, HOOK=SECRET).kept(sent, OPEN, "secret")

"""What all types of triggers have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec

from orchestrator.domain.explain import invalid
from orchestrator.domain.principal import Principal
from orchestrator.doors.sealing import MASK, Sealing, names, shown
from worker_client.contract.fields import JsonObject
from worker_client.contract.request import Request
from worker_client.errors import ValidationFailed


class Settings(Request, kw_only=True):
    """What every trigger has; `dry_run`: tell of a fire instead of beginning a run."""

    type: str
    enabled: bool = True
    dry_run: bool = False


S = TypeVar("S", bound=Settings)


class Trigger(Generic[S]):
    """A type of trigger, by the `name` that workflows give.

    `hidden`: the places of secrets in its settings, such as `auth.secret`; each is a text, empty for none. A type that is called
    over HTTP is a `WebTrigger`, see orchestrator/triggers/web.py; others have a loop that submits what they hear of as `Deliver`.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Settings]] = Settings
    hidden: ClassVar[tuple[str, ...]] = ()

    def check(self, settings: S, by: Principal, field: str) -> None:
        """Refuse what does not go together; `field` is its place, such as `triggers[0]`. Raises ValidationFailed."""

    def fits(self, settings: S, secret: str, field: str) -> None:
        """Refuse a secret, sent in clear and not in `settings`, that is none. Raises ValidationFailed, which does not show it."""

    def address(self, settings: S, workflow_id: str) -> str | None:  # noqa: ARG002 - for those that have one
        """The path below /api/v1 at which the trigger of a workflow is called, if there is one."""
        return None

    def read(self, kept: Mapping[str, Any]) -> S:
        """Settings as they were stored."""
        found: S = msgspec.convert(kept, cast("type[S]", self.settings))
        return found

    def checked(self, sent: Any, by: Principal, sealing: Sealing, field: str, before: Mapping[str, Any] | None) -> JsonObject:
        """Settings as they are stored: valid, with secrets sealed; one that is sent as it is shown stays as it was `before`.

        Raises ValidationFailed and Forbidden, none of which shows a secret.
        """
        given, clear = _parted(sent, self.hidden)
        try:
            settings: S = msgspec.convert(given, cast("type[S]", self.settings))
        except msgspec.ValidationError as error:
            raise invalid(error, self.settings, given, within=field) from None
        self.check(settings, by, field)
        kept: JsonObject = msgspec.to_builtins(settings)
        for place, secret in clear.items():
            where = f"{field}.{place}"
            if isinstance(secret, str) and secret not in {"", MASK} and names(secret) is None:
                self.fits(settings, secret, where)
            _put(kept, place, self._kept(secret, by, sealing, where, _at(before or {}, place)))
        return kept

    @staticmethod
    def _kept(secret: Any, by: Principal, sealing: Sealing, field: str, before: Any) -> str:
        if not isinstance(secret, str):
            raise ValidationFailed(f"`{field}` is no string: send the secret, or {{{{ secrets.NAME }}}}", field=field)
        if secret == MASK and isinstance(before, str):
            return before
        if secret == MASK:
            raise ValidationFailed(f"`{field}` is {MASK}, as secrets are shown, and none was stored before: send it", field=field)
        if isinstance(before, str) and sealing.stands_for(before, secret):
            # Sealed anew it would look like a change.
            return before
        return sealing.kept(secret, by, field) if secret else ""

    def secrets(self, kept: Mapping[str, Any]) -> list[str]:
        """Its secrets as they are stored."""
        return [secret for place in self.hidden if isinstance(secret := _at(kept, place), str) and secret]

    def shown(self, kept: Mapping[str, Any]) -> JsonObject:
        """Settings as they may be seen."""
        seen: JsonObject = msgspec.json.decode(msgspec.json.encode(kept))
        for place in self.hidden:
            if isinstance(secret := _at(seen, place), str):
                _put(seen, place, shown(secret))
        return seen


def _parted(sent: Any, hidden: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """What was sent with its secrets taken out, so that no message can show them, and these by their places."""
    if not isinstance(sent, dict):
        return sent, {}
    copy: JsonObject = msgspec.json.decode(msgspec.json.encode(sent))
    clear = {}
    for place in hidden:
        outer = place.rpartition(".")[0]
        if outer and not isinstance(_at(copy, outer), dict | None):
            _put(copy, outer, MASK)
        elif secret := _at(copy, place):
            clear[place] = secret
            _put(copy, place, MASK)
    return copy, clear


def _at(value: Any, place: str) -> Any:
    for name in place.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _put(value: JsonObject, place: str, secret: str) -> None:
    *outer, last = place.split(".")
    for name in outer:
        value = value[name]
    value[last] = secret

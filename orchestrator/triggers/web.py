"""Triggers that are called over HTTP: what came in, and what a type makes of it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic

from msgspec import Struct

from orchestrator.triggers.base import S, Trigger
from worker_client.contract.fields import JsonObject
from worker_client.errors import ValidationFailed

Reveal = Callable[[str], str]
"""Gives the secret that is stored so."""
PATH: Final = "/public/webhook/workflow/"
"""Below it each workflow has a path of its own."""
_SECRET: Final = re.compile(r"authorization|cookie|signature|token|secret|password|api-?key|credential")
_LONGEST_KEY: Final = 255


class Incoming(Struct, frozen=True, kw_only=True):
    """One call as it came; names of headers are in lower case."""

    method: str
    headers: tuple[tuple[str, str], ...]
    query: dict[str, str]
    raw: bytes

    def header(self, name: str) -> str | None:
        """A header that may stand once. Raises ValidationFailed when it stands more often: of two, none can be believed."""
        found = [value for known, value in self.headers if known == name.lower()]
        if len(found) > 1:
            raise ValidationFailed(f"the header {name} stands {len(found)} times: send it once", field=name)
        return found[0] if found else None

    def told(self, *hidden: str) -> dict[str, str]:
        """The headers that templates may see: no credentials, no signatures, and none of `hidden`."""
        kept = (pair for pair in self.headers if pair[0] not in hidden and not _SECRET.search(pair[0]))
        return dict(kept)


class Taken(Struct, kw_only=True):
    """What a type makes of a call.

    `key`: the delivery is taken once; `filtered`: why it is not wanted, if it is not; `facts`: what tells it from others in the
    history, with neither secrets nor bodies; `wants`: what is to be fetched before a run begins.
    """

    input: JsonObject
    trigger: JsonObject
    facts: JsonObject
    key: str | None = None
    filtered: str | None = None
    wants: JsonObject | None = None


class WebTrigger(Trigger[S], Generic[S]):
    """A type that is called at the path of its workflow; of several triggers there the first that `claims` a call gets it."""

    def address(self, settings: S, workflow_id: str) -> str | None:  # noqa: ARG002 - every one has it
        """The path of the workflow."""
        return PATH + workflow_id

    def methods(self, settings: S) -> Sequence[str]:  # noqa: ARG002 - some types have a choice
        """The methods that it is called with."""
        return ("POST",)

    def claims(self, settings: S, headers: Mapping[str, str]) -> bool:  # noqa: ARG002 - some types know theirs
        """Whether a call is for this type, as its headers say."""
        return True

    def most_bytes(self, settings: S, usual: int) -> int:  # noqa: ARG002 - some types get more
        """How large a body may be; `usual`: the setting `limits.max_webhook_bytes`."""
        return usual

    def admit(self, settings: S, incoming: Incoming, reveal: Reveal) -> None:
        """Let in only who can show that they may fire it. Raises Unauthorized."""
        raise NotImplementedError

    def take(self, settings: S, incoming: Incoming) -> Taken:
        """What a call says, once it was let in. Raises ValidationFailed when that is nothing."""
        raise NotImplementedError


def context(type: str, incoming: Incoming, *hidden: str, delivery_id: str | None = None) -> dict[str, Any]:
    """What templates see as `trigger`."""
    return {
        "type": type,
        "method": incoming.method,
        "headers": incoming.told(*hidden),
        "query": {name: value for name, value in incoming.query.items() if not _SECRET.search(name.lower())},
        "delivery_id": delivery_id,
    }


def first_key(incoming: Incoming, names: Iterable[str]) -> str | None:
    """The first of some headers that is there, as the key of a delivery. Raises ValidationFailed when it is too long."""
    for name in names:
        if found := incoming.header(name):
            if len(found) > _LONGEST_KEY:
                told = f"the header {name} has {len(found)} characters: send {_LONGEST_KEY} at the most"
                raise ValidationFailed(told, field=name)
            return found
    return None

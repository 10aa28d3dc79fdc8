"""What happens on GitHub, filtered, starts a run."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from orchestrator.domain.principal import Principal
from orchestrator.triggers import signatures
from orchestrator.triggers.base import Settings
from orchestrator.triggers.github import globs
from orchestrator.triggers.github.event import Event, understood
from orchestrator.triggers.web import PATH, Incoming, Reveal, Taken, WebTrigger
from worker_client.contract.fields import JsonObject
from worker_client.errors import Unauthorized, ValidationFailed

SHARED: Final = "/public/webhooks/github"
"""Where GitHub calls for all triggers that have no secret of their own."""
MOST_BYTES: Final = 25 * 1024 * 1024
"""GitHub sends no more."""
SIGNATURE: Final = "x-hub-signature-256"
Pattern = Annotated[str, Meta(min_length=1, max_length=500)]
Patterns = Annotated[list[Pattern], Meta(max_length=100)]


class GitHubSettings(Settings, kw_only=True):
    """Which events begin a run; a filter that is left out lets everything pass, those that are there must all be met.

    `events`: names such as `push`, or with the action, `issues.labeled`. `repositories` (`owner/name`), `branches` (that was
    pushed to, or the base of a pull request), `authors` (of what it is about) and `senders` (who did it) are globs; `paths` are
    patterns as in .gitignore over the files that changed. `labels`: one of them is there; when a label was put on or taken off,
    it is that one. `secret`: of a webhook that calls the path of this workflow; without it, the server's.
    """

    secret: str = ""
    events: Patterns = []
    actions: Patterns = []
    repositories: Patterns = []
    branches: Patterns = []
    paths: Patterns = []
    authors: Patterns = []
    senders: Patterns = []
    labels: Patterns = []


class GitHub(WebTrigger[GitHubSettings]):
    """Called at the path of its workflow when it has a secret of its own, else at the one path for all."""

    name = "github"
    settings = GitHubSettings
    hidden = ("secret",)

    def check(self, settings: GitHubSettings, by: Principal, field: str) -> None:
        """Refuse patterns that are none, and the server's deliveries to those who may not see all of them."""
        try:
            globs.files(settings.paths, ())
        except ValueError as error:
            told = f"`{field}.paths` has a pattern that cannot be used: {error}"
            raise ValidationFailed(told, field=f"{field}.paths") from None
        if not settings.secret and by.paths.patterns is not None:
            raise ValidationFailed(
                f"`{field}.secret` is missing: this key is limited to some directories, and the server's webhook tells of all "
                "repositories. Send a secret of your own, and give it to the webhook of your repository",
                field=f"{field}.secret",
            )

    def fits(self, settings: GitHubSettings, secret: str, field: str) -> None:  # noqa: ARG002 - that of the base
        """Refuse a secret that is too short."""
        signatures.usable("hmac", secret, field)

    def address(self, settings: GitHubSettings, workflow_id: str) -> str:
        """Where GitHub is to call."""
        return PATH + workflow_id if settings.secret else SHARED

    def claims(self, settings: GitHubSettings, headers: Mapping[str, str]) -> bool:
        """Whether GitHub calls, and means this trigger."""
        return bool(settings.secret) and "x-github-event" in headers

    def most_bytes(self, settings: GitHubSettings, usual: int) -> int:  # noqa: ARG002 - it gets more than usual
        """As much as GitHub sends."""
        return MOST_BYTES

    def admit(self, settings: GitHubSettings, incoming: Incoming, reveal: Reveal) -> None:
        """GitHub, which has signed the body."""
        admit(incoming, reveal(settings.secret))

    def take(self, settings: GitHubSettings, incoming: Incoming) -> Taken:
        """What the delivery says; GitHub is asked for no more, as whoever knows the secret of a workflow may say anything."""
        event = understood(incoming)
        event.wants = None
        return taken(settings, event)


def admit(incoming: Incoming, secret: str) -> None:
    """Let in what is signed with a secret. Raises Unauthorized."""
    given = incoming.header(SIGNATURE)
    if given is None or not signatures.signed(secret, incoming.raw, given):
        raise Unauthorized(
            "the signature in X-Hub-Signature-256 does not fit the body: give the webhook on GitHub the secret that is set here"
        )


def taken(settings: GitHubSettings, event: Event) -> Taken:
    """What a trigger makes of an event."""
    return Taken(
        input=event.context,
        trigger=trigger_of(event),
        facts=event.facts,
        key=event.delivery_id,
        filtered=filtered(settings, event),
        wants=event.wants,
    )


def trigger_of(event: Event) -> JsonObject:
    """What templates see as `trigger`."""
    about = {"type": GitHub.name, "method": "POST", "headers": {}, "query": {}}
    return {**about, "delivery_id": event.delivery_id, "event": event.name, "action": event.action}


def filtered(settings: GitHubSettings, event: Event) -> str | None:
    """Why an event is not wanted, if it is not. What is not known lets it pass: nothing is lost for it."""
    named = f"{event.name}.{event.action}"
    checks = (
        ("events", event.name != "ping" and _any(settings.events, event.name, named), f"the event is {named}"),
        ("actions", _any(settings.actions, event.action or ""), f"the action is {event.action}"),
        ("repositories", globs.named(settings.repositories, event.repository), f"the repository is {event.repository}"),
        (
            "branches",
            not settings.branches
            or not event.about_branches
            or (event.branch is not None and globs.named(settings.branches, event.branch)),
            f"the branch is {event.branch}",
        ),
        ("authors", globs.named(settings.authors, event.author), f"the author is {event.author}"),
        ("senders", globs.named(settings.senders, event.sender), f"the sender is {event.sender}"),
        ("labels", _labelled(settings.labels, event), f"the labels are {', '.join(event.labels) or 'none'}"),
        ("paths", _touched(settings.paths, event), "no file that changed matches"),
    )
    return next((f"{name}: {told}"[:500] for name, passes, told in checks if not passes), None)


def _any(patterns: Patterns, *names: str) -> bool:
    return not patterns or any(name in patterns for name in names)


def _labelled(wanted: Patterns, event: Event) -> bool:
    if not wanted:
        return True
    # Else every further label would fire again for the one that is there.
    there = [event.label] if event.label is not None else event.labels
    return not {label.lower() for label in wanted}.isdisjoint(label.lower() for label in there)


def _touched(patterns: Patterns, event: Event) -> bool:
    return not patterns or not event.complete or globs.files(patterns, event.files)

"""A delivery of GitHub as filters and templates see it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw, Struct

from orchestrator.triggers.payload import FORM, is_json, media_type
from orchestrator.triggers.web import Incoming
from worker_client.contract.fields import JsonObject
from worker_client.errors import ValidationFailed

MOST_COMMITS: Final = 2048
"""A push names no more."""
MOST_FILES: Final = 3000
"""GitHub names no more of a pull request."""
PAYLOAD_BYTES: Final = 256 * 1024
"""A payload that is larger is not kept whole: every run would keep it."""
_KEPT_COMMITS: Final = 100
_ACTED: Final = ("comment", "review", "issue", "pull_request", "release", "discussion", "workflow_run")
"""What an event is about, the nearest first."""
_ABOUT: Final = {
    "issue": ("number", "title", "body", "state", "html_url", "created_at", "author_association", "comments"),
    "pull_request": ("number", "title", "body", "state", "html_url", "created_at", "author_association", "draft", "merged"),
    "comment": ("id", "body", "html_url", "created_at", "author_association", "path", "line"),
    "review": ("id", "body", "state", "html_url", "submitted_at", "author_association"),
    "release": ("id", "tag_name", "name", "body", "draft", "prerelease", "html_url", "target_commitish", "created_at"),
    "workflow_run": ("id", "name", "status", "conclusion", "event", "head_branch", "head_sha", "html_url", "run_attempt"),
    "discussion": ("number", "title", "body", "state", "html_url", "created_at"),
}
_REPOSITORY: Final = ("full_name", "name", "clone_url", "ssh_url", "html_url", "default_branch", "private", "description")


class Event(Struct, kw_only=True):
    """What happened; `context` is what templates see as `input`.

    `branch`: None when it is about none; `about_branches`: whether it is the kind of event that is about one. `label`: the one
    that was put on or taken off, `labels`: all that are there. `files`: those that changed, as far as they are known, and
    `complete` when these are all. `wants`: what to ask GitHub for to know the rest.
    """

    name: str
    action: str | None
    delivery_id: str
    repository: str
    author: str
    sender: str
    branch: str | None
    about_branches: bool
    labels: list[str]
    label: str | None
    files: list[str]
    complete: bool
    context: JsonObject
    wants: JsonObject | None = None

    @property
    def facts(self) -> JsonObject:
        """What tells it from others in the history."""
        number = next((self.context[name]["number"] for name in ("issue", "pull_request") if self.context[name]), None)
        facts = {
            "event": self.name,
            "action": self.action,
            "delivery_id": self.delivery_id,
            "repository": self.repository,
            "sender": self.sender,
            "branch": self.branch,
            "number": number,
        }
        return {name: value for name, value in facts.items() if value not in {None, ""}}


def understood(incoming: Incoming) -> Event:
    """What a delivery says. Raises ValidationFailed for what GitHub does not send."""
    name, delivery_id = incoming.header("x-github-event"), incoming.header("x-github-delivery")
    for header, value in (("X-GitHub-Event", name), ("X-GitHub-Delivery", delivery_id)):
        if not value or len(value) > 100 or not value.isascii() or not value.isprintable():
            raise ValidationFailed(f"the header {header} is missing or no name: GitHub sends one", field=header)
    parts = _Parts(_json(incoming))
    return _event(str(name), str(delivery_id), parts)


class _Parts:
    """The payload, of which only that is made that is looked at: it may have 25 MB."""

    def __init__(self, raw: bytes) -> None:
        # PostgreSQL has no NUL, and a delivery is not lost for one.
        self._raw = raw.replace(b"\\u0000", b"\\ufffd") if b"\\u0000" in raw else raw
        try:
            self._parts = msgspec.json.decode(self._raw, type=dict[str, Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValidationFailed("the payload is no JSON object: GitHub sends one", field="") from None

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def get(self, name: str) -> Any:
        """A part, or None."""
        try:
            return msgspec.json.decode(self._parts[name]) if name in self._parts else None
        except (msgspec.MsgspecError, RecursionError):
            raise ValidationFailed(f"`{name}` of the payload cannot be read", field=name) from None

    def object(self, name: str) -> JsonObject:
        """A part that is an object, else an empty one."""
        return _object(self.get(name))

    def text(self, name: str) -> str:
        """A part that is a text, else an empty one."""
        return _text(self.get(name))

    def whole(self) -> Any:
        """All of it, unless that is much."""
        return msgspec.json.decode(self._raw) if len(self._raw) <= PAYLOAD_BYTES else None


def _json(incoming: Incoming) -> bytes:
    media = media_type(incoming)
    if is_json(media):
        return incoming.raw
    if media != FORM:
        told = f"the content type is {media[:100] or 'missing'}: choose application/json in the settings of the webhook"
        raise ValidationFailed(told, field="Content-Type")
    try:
        return parse_qs(incoming.raw.decode(), max_num_fields=10)["payload"][0].encode()
    except (UnicodeError, ValueError, KeyError):
        raise ValidationFailed("the form has no field payload: GitHub sends one", field="payload") from None


def _event(name: str, delivery_id: str, parts: _Parts) -> Event:
    about = {kind: parts.object(kind) for kind in _ABOUT}
    repository, ref = parts.object("repository"), parts.text("ref")
    sender = _login(parts.get("sender"))
    head_commit = parts.object("head_commit")
    commits = _objects(parts.get("commits"))
    label = _text(parts.object("label").get("name")) or None
    branch, about_branches = _branch(name, ref, parts, about)
    found = Event(
        name=name,
        action=parts.text("action") or None,
        delivery_id=delivery_id,
        repository=_text(repository.get("full_name")),
        author=next((login for kind in _ACTED if (login := _author(about[kind]))), sender),
        sender=sender,
        branch=branch,
        about_branches=about_branches,
        labels=_labels(about["issue"] or about["pull_request"] or about["discussion"]),
        label=label,
        files=list(_changed(commits)),
        complete=name == "push" and len(commits) < MOST_COMMITS and not _is_short(parts, commits),
        context={},
    )
    found.wants = _wants(found, parts, about["pull_request"])
    found.context = {
        "event": name,
        "action": found.action,
        "delivery_id": delivery_id,
        "repository": {key: repository.get(key) for key in _REPOSITORY},
        "branch": branch,
        "tag": ref.removeprefix("refs/tags/") if ref.startswith("refs/tags/") else None,
        "ref": ref or None,
        "before": parts.text("before") or None,
        "after": parts.text("after") or None,
        "compare": parts.text("compare") or None,
        "sender": sender,
        "author": found.author,
        "labels": found.labels,
        "label": label,
        **{kind: _trimmed(kind, about[kind]) for kind in _ABOUT},
        "commits": [_commit(commit) for commit in commits[-_KEPT_COMMITS:]],
        "head_commit": _commit(head_commit) if head_commit else None,
        "changed_files": found.files[:MOST_FILES],
        "changed_files_complete": found.complete,
        "payload": parts.whole(),
    }
    return found


def _is_short(parts: _Parts, commits: Sequence[JsonObject]) -> bool:
    """Whether a push has more commits than it names."""
    size = parts.get("size")
    return (isinstance(size, int) and size > len(commits)) or (not commits and parts.get("created") is not True and _moved(parts))


def _moved(parts: _Parts) -> bool:
    return parts.get("deleted") is not True and parts.text("before") != parts.text("after")


def _branch(name: str, ref: str, parts: _Parts, about: Mapping[str, JsonObject]) -> tuple[str | None, bool]:
    if name in {"push", "create", "delete"}:
        branch = ref.removeprefix("refs/heads/")
        is_branch = ref.startswith("refs/heads/") if name == "push" else parts.get("ref_type") == "branch"
        return (branch if is_branch else None), True
    if about["pull_request"]:
        return _text(_object(about["pull_request"].get("base")).get("ref")) or None, True
    for kind in ("workflow_run", "check_suite", "check_run", "deployment"):
        if kind in parts:
            one = parts.object(kind)
            inner = _object(one.get("check_suite"))
            return _text(one.get("head_branch") or inner.get("head_branch") or one.get("ref")) or None, True
    if about["release"]:
        return _text(about["release"].get("target_commitish")) or None, True
    return None, False


def _wants(event: Event, parts: _Parts, pull_request: JsonObject) -> JsonObject | None:
    asked = {"repository": event.repository, "installation": parts.object("installation").get("id")}
    number = pull_request.get("number")
    if isinstance(number, int):
        return {**asked, "what": "files", "number": number}
    if event.name == "push" and not event.complete and parts.get("deleted") is not True:
        before, after = parts.text("before"), parts.text("after")
        base = before if before.strip("0") else _text(parts.object("repository").get("default_branch"))
        return {**asked, "what": "compare", "base": base, "head": after} if base and after else None
    return None


def _changed(commits: Iterable[JsonObject]) -> dict[str, None]:
    """The files that commits name, each once, in their order."""
    lists = (commit.get(how) for commit in commits for how in ("added", "modified", "removed"))
    return dict.fromkeys(path for paths in lists if isinstance(paths, list) for path in paths if isinstance(path, str))


def _trimmed(kind: str, one: JsonObject) -> JsonObject | None:
    if not one:
        return None
    found = {name: one.get(name) for name in _ABOUT[kind]}
    found["user"] = _author(one)
    if kind in {"issue", "pull_request", "discussion"}:
        found["labels"] = _labels(one)
    if kind == "issue":
        found["is_pull_request"] = "pull_request" in one
    if kind == "pull_request":
        found |= {side: _side(_object(one.get(side))) for side in ("head", "base")}
    return found


def _side(one: JsonObject) -> JsonObject:
    return {"ref": one.get("ref"), "sha": one.get("sha"), "repository": _object(one.get("repo")).get("full_name")}


def _commit(one: JsonObject) -> JsonObject:
    author = _object(one.get("author"))
    found = {name: one.get(name) for name in ("id", "message", "timestamp", "url")}
    return {**found, "author": author.get("username") or author.get("name"), "email": author.get("email")}


def _author(one: JsonObject) -> str:
    return _login(one.get("user") or one.get("author") or one.get("actor"))


def _labels(one: JsonObject) -> list[str]:
    return [name for label in _objects(one.get("labels")) if (name := _text(label.get("name")))]


def _login(one: Any) -> str:
    return _text(_object(one).get("login"))


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

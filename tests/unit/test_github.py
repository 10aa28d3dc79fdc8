"""GitHub's deliveries: what they say, and which of them are wanted."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from orchestrator.domain.principal import OPEN, Principal, path_scope
from orchestrator.doors.sealing import Sealing
from orchestrator.doors.secrets import Secrets
from orchestrator.triggers import checked
from orchestrator.triggers.github import globs
from orchestrator.triggers.github.event import PAYLOAD_BYTES, Event, understood
from orchestrator.triggers.github.trigger import GitHub, GitHubSettings, filtered
from orchestrator.triggers.web import Incoming
from worker_client.errors import ValidationFailed

REPOSITORY = {
    "full_name": "acme/api",
    "clone_url": "https://github.com/acme/api.git",
    "default_branch": "main",
    "private": True,
    "owner": {"login": "acme"},
}


def sent(event: str, payload: Any, **headers: str) -> Incoming:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    named = {"x-github-event": event, "x-github-delivery": "d-1", "content-type": "application/json", **headers}
    return Incoming(method="POST", headers=tuple(named.items()), query={}, raw=raw)


def event(name: str, **payload: Any) -> Event:
    return understood(sent(name, {"repository": REPOSITORY, "sender": {"login": "Ann"}, **payload}))


def push(branch: str = "main", *files: str, **more: Any) -> Event:
    commit = {"id": "c1", "message": "m", "author": {"name": "Bo", "username": "bo"}, "added": [], "modified": list(files)}
    facts = {"ref": f"refs/heads/{branch}", "before": "a" * 40, "after": "b" * 40, "commits": [commit], "head_commit": commit}
    return event("push", **{**facts, **more})


def issue(action: str = "labeled", label: str | None = "agent", labels: tuple[str, ...] = ("agent",), **more: Any) -> Event:
    one = {"number": 7, "title": "T", "body": "B 🦔", "user": {"login": "cy"}, "labels": [{"name": name} for name in labels]}
    told = {} if label is None else {"label": {"name": label}}
    return event("issues", action=action, issue=one, **told, **more)


def pull(number: int = 5, base: str = "main") -> Event:
    sides = {"head": {"ref": "x", "sha": "b", "repo": {"full_name": "bo/api"}}, "base": {"ref": base, "sha": "a"}}
    one = {"number": number, "title": "P", "body": None, "user": {"login": "bo"}, **sides}
    return event("pull_request", action="opened", pull_request=one, installation={"id": 99})


def test_what_templates_see() -> None:
    seen = issue().context
    assert {name: seen[name] for name in ("event", "action", "sender", "author", "labels", "label", "delivery_id")} == {
        "event": "issues", "action": "labeled", "sender": "Ann", "author": "cy", "labels": ["agent"], "label": "agent",
        "delivery_id": "d-1",
    }  # fmt: skip
    assert {name: seen["issue"][name] for name in ("number", "title", "body", "user")} == {
        "number": 7, "title": "T", "body": "B 🦔", "user": "cy",
    }  # fmt: skip
    assert seen["repository"]["full_name"] == "acme/api"
    assert seen["repository"]["private"] is True
    assert seen["payload"]["issue"]["labels"] == [{"name": "agent"}]
    assert (seen["pull_request"], seen["branch"], seen["commits"]) == (None, None, [])
    assert issue().facts["number"] == 7
    told = push("feature/x", "a.py").context
    assert (told["branch"], told["ref"], told["changed_files"], told["changed_files_complete"]) == (
        "feature/x", "refs/heads/feature/x", ["a.py"], True,
    )  # fmt: skip
    assert told["commits"][0]["author"] == "bo"
    assert event("push", ref="refs/tags/v1").context["tag"] == "v1"
    assert pull().context["pull_request"]["head"] == {"ref": "x", "sha": "b", "repository": "bo/api"}


def test_what_the_payload_omits_is_wanted() -> None:
    assert pull().wants == {"repository": "acme/api", "installation": 99, "what": "files", "number": 5}
    assert push().wants is None
    long = {"what": "compare", "repository": "acme/api", "installation": None}
    assert push(size=30).wants == {**long, "base": "a" * 40, "head": "b" * 40}
    assert push(commits=[{}] * 2048, before="0" * 40).wants == {**long, "base": "main", "head": "b" * 40}
    assert push(commits=[], deleted=True).wants is None
    assert issue().wants is None


def test_a_large_payload_is_not_kept_whole_and_a_nul_harms_nobody() -> None:
    large = event("push", ref="refs/heads/main", much=["x" * 100] * (PAYLOAD_BYTES // 100))
    assert large.context["payload"] is None
    assert large.branch == "main"
    assert issue(extra="a\0b").context["payload"]["extra"] == "a\ufffdb"


def test_a_form_has_the_payload_in_a_field() -> None:
    form = urlencode({"payload": json.dumps({"action": "é", "repository": REPOSITORY})}).encode()
    found = understood(sent("issues", form, **{"content-type": "application/x-www-form-urlencoded"}))
    assert (found.action, found.repository) == ("é", "acme/api")


@pytest.mark.parametrize(
    ("raw", "headers", "told"),
    [
        (b"{", {}, "no JSON object"),
        (b"[]", {}, "no JSON object"),
        (b"\xff", {}, "no JSON object"),
        (b"", {}, "no JSON object"),
        (b"[" * 100_000, {}, "no JSON object"),
        (b'{"repository": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}, "JSON object|cannot be read"),
        (b"{}", {"content-type": "text/plain"}, "application/json"),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded"}, "no field payload"),
        (b"{}", {"x-github-event": ""}, "X-GitHub-Event"),
        (b"{}", {"x-github-delivery": "d" * 101}, "X-GitHub-Delivery"),
        (b"{}", {"x-github-delivery": "\xe9"}, "X-GitHub-Delivery"),
    ],
)  # fmt: skip
def test_what_github_does_not_send_is_refused(raw: bytes, headers: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationFailed, match=told):
        understood(sent("push", raw, **headers))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"repository": None, "sender": "x", "issue": [], "commits": {}, "label": 7, "ref": None, "action": {}},
        {"commits": [None, {"added": "x", "modified": [1, "ok"]}], "issue": {"labels": [None, {"name": 5}], "user": []}},
        {"installation": 7, "pull_request": {"number": "5", "head": 1}},
    ],
)
def test_whatever_shape_it_has_it_is_understood(payload: Any) -> None:
    found = understood(sent("push", payload))
    assert found.facts["event"] == "push"
    json.dumps(found.context)


ISSUE, PULL, PUSH = issue(), pull(), push("main", "src/a.py", "docs/b.md")


@pytest.mark.parametrize(
    ("settings", "event", "wanted"),
    [
        ({}, ISSUE, True),
        ({}, event("ping", zen="z"), False),
        ({"events": ["push"]}, ISSUE, False),
        ({"events": ["issues"]}, ISSUE, True),
        ({"events": ["issues.labeled"]}, ISSUE, True),
        ({"events": ["issues.opened"]}, ISSUE, False),
        ({"actions": ["labeled"]}, ISSUE, True),
        ({"actions": ["opened"]}, ISSUE, False),
        ({"repositories": ["ACME/*"]}, ISSUE, True),
        ({"repositories": ["acme/web", "*/web"]}, ISSUE, False),
        ({"repositories": ["!acme/api"]}, ISSUE, False),
        ({"branches": ["main"]}, PUSH, True),
        ({"branches": ["release/*"]}, PUSH, False),
        ({"branches": ["**", "!main"]}, PUSH, False),
        ({"branches": ["main"]}, PULL, True),
        ({"branches": ["main"]}, pull(base="dev"), False),
        ({"branches": ["main"]}, ISSUE, True),
        ({"branches": ["main"]}, event("push", ref="refs/tags/main"), False),
        ({"branches": ["main"]}, event("workflow_run", workflow_run={"head_branch": "dev"}), False),
        ({"branches": ["feature/*"]}, push("feature/a/b"), False),
        ({"branches": ["feature/**"]}, push("feature/a/b"), True),
        ({"authors": ["cy"]}, ISSUE, True),
        ({"authors": ["ann"]}, ISSUE, False),
        ({"authors": ["ann"]}, PUSH, True),
        ({"senders": ["ann"]}, ISSUE, True),
        ({"senders": ["!*bot*"]}, event("push", sender={"login": "dependabot[bot]"}), False),
        ({"labels": ["Agent"]}, ISSUE, True),
        ({"labels": ["agent"]}, issue(label="bug", labels=("agent", "bug")), False),
        ({"labels": ["agent"]}, issue("opened", None, ("agent", "bug")), True),
        ({"labels": ["agent"]}, issue("opened", None, ()), False),
        ({"paths": ["src/**"]}, PUSH, True),
        ({"paths": ["*.md"]}, PUSH, True),
        ({"paths": ["lib/"]}, PUSH, False),
        ({"paths": ["src/**", "!src/a.py"]}, PUSH, False),
        ({"paths": ["!docs/**"]}, PUSH, True),
        ({"paths": ["!docs/**", "!src/**"]}, PUSH, False),
        ({"paths": ["lib/"]}, PULL, True),
        ({"paths": ["lib/"]}, push("main", "src/a.py", size=30), True),
        ({"paths": ["lib/"]}, ISSUE, True),
        ({"events": ["issues"], "labels": ["agent"], "repositories": ["acme/api"], "senders": ["ann"]}, ISSUE, True),
    ],
)  # fmt: skip
def test_filters(settings: dict[str, Any], event: Event, wanted: bool) -> None:
    why = filtered(GitHubSettings(type="github", **settings), event)
    assert (why is None) is wanted, why


def test_names_are_matched_and_nothing_else() -> None:
    assert globs.named(["a.c"], "a.c")
    assert not globs.named(["a.c"], "abc")
    assert not globs.named(["a?c"], "a/c")
    assert globs.named([], "anything")
    assert not globs.named(["main"], "main\n")


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("*a" * 50 + "b", "a" * 250, False),
        ("**a" * 50 + "b", "a/" * 125, False),
        ("**a*b", "a/ab", True),
        ("*a*b", "a/ab", False),
        ("**/x", "x", False),
        ("Release-?*", "release-1.2", True),
        ("a**", "a/b/c", True),
        ("a*", "a", True),
        ("", "a", False),
    ],
)
def test_a_name_that_somebody_chose_takes_no_longer_than_any_other(pattern: str, name: str, meant: bool) -> None:
    before = time.process_time()
    assert globs.named([pattern], name) is meant
    assert time.process_time() - before < 2


@pytest.mark.parametrize("pattern", ["*a*a*a*b", "a/**/b/**/c/**/d/**", "x/****.py"])
def test_patterns_of_files_that_could_take_hours_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationFailed, match=r"more than 3 \*"):
        checked([{"type": "github", "paths": ["**/src/**/*_test*.py", pattern]}], OPEN, sealing())


def sealing() -> Sealing:
    made = Sealing()
    made.configure("k" * 32, None, Secrets({}))
    return made


def test_who_sees_not_all_brings_a_secret_of_their_own() -> None:
    limited = Principal(id="k", paths=path_scope(["/srv/a/**"]))
    with pytest.raises(ValidationFailed, match="secret of your own"):
        checked([{"type": "github"}], limited, sealing())
    (kept,) = checked([{"type": "github", "secret": "long enough"}], limited, sealing())
    assert GitHub().address(GitHub().read(kept), "wf_1") == "/public/webhook/workflow/wf_1"
    (kept,) = checked([{"type": "github"}], OPEN, sealing())
    assert GitHub().address(GitHub().read(kept), "wf_1") == "/public/webhooks/github"
    with pytest.raises(ValidationFailed, match="cannot be used"):
        checked([{"type": "github", "paths": ["a", "!"]}], OPEN, sealing())

"""What programs say when something is wrong: plain words to look for, so that no output makes looking take long."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from orchestrator.domain.advice.facts import Line, brief, plain
from orchestrator.domain.advice.telling import advice
from worker_client.contract.advice import Advice, Confidence, Evidence

_READ: Final = 1_000
"""Characters of a line."""
_NEAR: Final = 300
"""Characters around the words, in which facts are looked for."""
_SHOWN: Final = 300
_NAME: Final = r"[\w@./:+~-]{1,120}"


class Symptom(Struct, frozen=True):
    """`words` in lower case, one of which is in the line; `fact`: its name, and the patterns whose group is its value."""

    code: str
    words: tuple[str, ...]
    fact: str = ""
    patterns: tuple[re.Pattern[str], ...] = ()


def _of(code: str, *words: str, **fact: tuple[str, ...]) -> Symptom:
    name, patterns = next(iter(fact.items()), ("", ()))
    return Symptom(code, words, name, tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns))


SYMPTOMS: Final = (
    _of("disk_full", "no space left on device", "enospc", "disk quota exceeded", "there is not enough space on the disk"),
    _of("read_only", "read-only file system", "erofs"),
    _of("too_many_files", "too many open files", "emfile"),
    _of(
        "out_of_memory", "out of memory", "cannot allocate memory", "memoryerror", "outofmemoryerror", "std::bad_alloc", "enomem",
        "oom-kill", "oomkilled",
    ),
    _of(
        "command_not_found", "command not found", ": not found", "is not recognized as an internal or external command",
        "executable file not found",
        command=(
            rf"command not found: ({_NAME})", rf"({_NAME}): (?:command )?not found", rf"'({_NAME})' is not recognized",
            rf"\"({_NAME})\": executable file not found",
        ),
    ),
    _of("module_missing", "modulenotfounderror", "no module named", "cannot find module", "could not resolve import",
        module=(rf"no module named ['\"]?({_NAME})", rf"cannot find module ['\"]({_NAME})")),
    _of("git_locked", "index.lock", "another git process seems to be running"),
    _of("git_auth", "permission denied (publickey", "could not read username for", "authentication failed for",
        "terminal prompts disabled", "host key verification failed", "support for password authentication was removed"),
    _of("git_conflict", "merge conflict", "conflict (", "automatic merge failed", "could not apply", "patch does not apply",
        "you have unmerged paths", "needs merge"),
    _of("git_dirty", "would be overwritten by", "you have unstaged changes", "your index contains uncommitted changes",
        "commit your changes or stash them", "contains modified or untracked files"),
    _of("git_rejected", "[rejected]", "non-fast-forward", "updates were rejected"),
    _of("permission_denied", "permission denied", "eacces", "eperm", "operation not permitted", "access is denied",
        what=(rf"permission denied: ['\"]?({_NAME})", rf"({_NAME}): permission denied", rf"'({_NAME})'")),
    _of("no_such_file", "no such file or directory", "enoent", "cannot find the path", "cannot find the file",
        path=(rf"no such file or directory[:,] (?:\w{{1,20}} )?['\"]?({_NAME})", rf"['\"]?({_NAME})['\"]?: no such file")),
    _of("port_in_use", "address already in use", "eaddrinuse", "port is already allocated",
        port=(r"(?:port|listen|:::|[\d\]]:) ?:?(?:[\w.]{0,40}:)?(\d{2,5})\b",)),
    _of("connection_refused", "connection refused", "econnrefused", "actively refused it",
        address=(rf"econnrefused ({_NAME})", rf"connect(?:ing|ion)? to ({_NAME}(?: port \d{{1,5}})?)")),
    _of("name_not_resolved", "could not resolve host", "name or service not known", "enotfound", "eai_again",
        "nodename nor servname",
        "temporary failure in name resolution", "no address associated with hostname",
        name=(rf"could not resolve host:? ({_NAME})", rf"(?:enotfound|eai_again) ({_NAME})")),
    _of("tls_failed", "certificate verify failed", "certificate has expired", "self-signed certificate",
        "self signed certificate",
        "ssl handshake", "tls handshake", "unable to get local issuer certificate", "certificate signed by unknown authority",
        "ssl: no alternative certificate"),
    _of("network_timeout", "connection timed out", "etimedout", "network is unreachable", "no route to host",
        "connection reset by peer",
        "econnreset", "connect timeout", "read timed out", "connecttimeout", "readtimeout"),
    _of("http_rate_limited", "429 too many requests", "status 429", "status code 429", "http 429", "error: 429"),
    _of("http_unauthorized", "401 unauthorized", "status 401", "status code 401", "http 401", "error: 401"),
    _of("http_forbidden", "403 forbidden", "status 403", "status code 403", "http 403", "error: 403"),
    _of("http_server_error", "500 internal server error", "502 bad gateway", "503 service unavailable", "504 gateway time",
        "status code 50", "status 50", status=(r"\b(50[0-9])\b",)),
    _of("agent_auth", "invalid api key", "invalid_api_key", "incorrect api key", "not logged in", "please run /login",
        "invalid x-api-key",
        "oauth token has expired", "isn't allowed to work"),
    _of("agent_quota", "usage limit reached", "quota exceeded", "insufficient_quota", "resource_exhausted", "rate limit exceeded",
        "rate_limit_error"),
    _of("agent_missing", "can't be started"),
    _of("context_too_long", "prompt is too long", "context_length_exceeded", "maximum context length", "context window",
        "too many tokens",
        "input is too long"),
)  # fmt: skip
_FAILED_TEST: Final = (
    re.compile(rf"^(?:\[[^\]]{{1,20}}\] ?)?FAILED ({_NAME}(?:\[[^\]]{{0,80}}\])?)"),
    re.compile(rf"^\s*--- FAIL: ({_NAME})"),
    re.compile(rf"^test ({_NAME}) \.\.\. FAILED"),
    re.compile(r"^\s*[\u2715\u2717\u00d7] (.{1,120})"),
    re.compile(rf"^(?:FAIL|ERROR): ({_NAME})"),
    re.compile(rf"^ ?FAIL ({_NAME})"),
)
_TESTS_FAILED: Final = re.compile(
    r"\b\d{1,9} (?:failed|failing|failures?)\b"
    r"|^(?:Some )?[Tt]ests?:? failed\b|\bfailures=\d|\bfailures!!!|^FAIL\b|test result: FAILED"
)
_NO_FAILURE: Final = re.compile(r"\b0 (?:failed|failing|failures?)\b")
_MOST_TESTS: Final = 20


def symptoms(lines: Iterable[Line]) -> Iterator[Advice]:
    """Advice by what the lines say; of each code the last line that says it. Lines come in their order."""
    read = [(line, plain(line.text[:_READ])) for line in lines]
    lowered = [(line, text, text.lower()) for line, text in reversed(read)]
    for symptom in SYMPTOMS:
        for line, text, low in lowered:
            if any(word in low for word in symptom.words):
                yield _found(symptom, line, text, low)
                break
    yield from _tests(read)


def _found(symptom: Symptom, line: Line, text: str, low: str) -> Advice:
    facts: dict[str, Any] = {}
    if symptom.fact:
        place = next(at for word in symptom.words if (at := low.find(word)) >= 0)
        near = text[max(0, place - _NEAR) : place + _NEAR]
        matches = (pattern.search(near) for pattern in symptom.patterns)
        facts[symptom.fact] = next((match[1].rstrip(".:") for match in matches if match), None)
    return advice(symptom.code, [_quoted(line, text)], confidence=_sure(line), **facts)


def _quoted(line: Line, text: str) -> Evidence:
    return Evidence(text=brief(text, _SHOWN), line=line.number)


def _sure(line: Line) -> Confidence:
    return Confidence.LIKELY if line.late else Confidence.POSSIBLE


def _tests(read: list[tuple[Line, str]]) -> Iterator[Advice]:
    named: dict[str, tuple[Line, str]] = {}
    summary: tuple[Line, str] | None = None
    for line, text in read:
        name = next((match[1] for pattern in _FAILED_TEST if (match := pattern.match(text))), None)
        if name is not None:
            named.setdefault(brief(name, 120), (line, text))
        elif _TESTS_FAILED.search(text) and not _NO_FAILURE.search(text):
            summary = (line, text)
    if not named and summary is None:
        return
    shown = [*list(named.values())[:3], *([summary] if summary else [])]
    sure = Confidence.LIKELY if any(line.late for line, _ in shown) else Confidence.POSSIBLE
    tests = list(named)[:_MOST_TESTS] or None
    yield advice("tests_failed", [_quoted(*one) for one in shown], confidence=sure, tests=tests, count=len(named))

"""The log of the server that answers."""

import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec
from litestar import get

from orchestrator.http.downloads import named
from orchestrator.http.envelope import NO_STORE, Answer, answer, text
from orchestrator.http.openapi import TEXT, described, tagged
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, unlimited
from orchestrator.telemetry import logs
from orchestrator.telemetry.ring import Line
from worker_client.contract.enums import Scope
from worker_client.contract.system import ReadSystemLogs, SystemLogLine, SystemLogPage

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


@get("/system/logs", opt=described(SystemLogPage, query=ReadSystemLogs, media=(TEXT,), errors=(403,)), scope=Scope.ADMIN)
async def read_system_logs(request: Asked) -> Answer:
    """Show the latest lines of this server's log, newest last, with secrets masked as in the log itself.

    They are kept in memory, some thousands at the most, and end with the server; of several servers it is the one that answers.
    """
    asked = parse(request, ReadSystemLogs)
    unlimited(request)
    page = _page(asked)
    if asked.format == "json" and not asked.download:
        return answer(page, headers=NO_STORE)
    plain = text("".join(f"{worded(line)}\n" for line in page.lines))
    plain.raw_headers += [*NO_STORE, (b"x-next-after", b"%d" % page.next_after)]
    if asked.download:
        plain.raw_headers.append(named(f"orchestrator-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"))
    return plain


def worded(line: SystemLogLine) -> str:
    """A line for people: when, how bad, what, and the facts; what an exception said comes below."""
    facts = [f"{name}={_shown(value)}" for name, value in line.facts.items() if name != "exception"]
    said = f"\n{line.facts['exception']}" if "exception" in line.facts else ""
    return " ".join([f"{line.at:%Y-%m-%dT%H:%M:%S.%f}Z", f"{line.level:<8}", line.event, *facts]) + said


def _shown(value: Any) -> str:
    if isinstance(value, str) and value and value.isprintable() and " " not in value:
        return value
    return msgspec.json.encode(value).decode()


def _page(asked: ReadSystemLogs) -> SystemLogPage:
    """The newest, or those after a line: then the oldest of them first, so that who follows misses none."""
    level = logging.getLevelNamesMapping()[asked.level.upper()]
    newest = next((line.number for line in logs.latest.newest()), asked.after or 0)
    if asked.after is None:
        lines = list(islice(_found(logs.latest.newest(level), asked.q), asked.limit))[::-1]
    else:
        lines = list(islice(_found(logs.latest.after(asked.after, level), asked.q), asked.limit))
    cut = asked.after is not None and len(lines) == asked.limit
    following = lines[-1].number if cut else newest
    return SystemLogPage(lines=lines, next_after=following, host=socket.gethostname())


def _found(lines: Iterator[Line], words: str | None) -> Iterator[SystemLogLine]:
    wanted = words.lower() if words else None
    for line in lines:
        facts = _decode(line.text)
        at, level, event = facts.pop("timestamp"), facts.pop("level"), str(facts.pop("event"))
        found = SystemLogLine(number=line.number, at=datetime.fromisoformat(at), level=level, event=event, facts=facts)
        if wanted is None or wanted in worded(found).lower():
            yield found


HANDLERS = tagged((read_system_logs,), "System")

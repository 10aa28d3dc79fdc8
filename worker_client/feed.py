"""The event stream, sans I/O: lines of server-sent events in, events out, and where to resume."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct, structs

from worker_client.contract.events import Event, Hint, ReadEvents
from worker_client.contract.fields import JsonObject
from worker_client.endpoints import Call, read_events

SILENCE = 60.0
"""Seconds without a line, keep-alive comments included, after which a stream counts as dead."""
_events = msgspec.json.Decoder(Event)
_hints = msgspec.json.Decoder(Hint)
_objects = msgspec.json.Decoder(JsonObject)


class Reset(Struct, frozen=True):
    """The feed could not be resumed: events were missed, read the present state again."""

    id: str | None
    data: JsonObject


class Feed:
    """Reads one stream after the other as if they were one."""

    def __init__(self, query: ReadEvents) -> None:
        self._query = query
        self._id: str | None = None
        self._fields: dict[str, str] = {}
        self.last_id = query.after
        self.pause = 1.0
        self.idle = True

    def connect(self) -> Call[Event]:
        """The call that continues after the last event."""
        self._fields.clear()
        self.idle = True
        return structs.replace(read_events(structs.replace(self._query, after=None)), hold=SILENCE)

    @property
    def headers(self) -> dict[str, str]:
        """What a stream is asked for with."""
        resume = {} if self.last_id is None else {"last-event-id": self.last_id}
        return {"accept": "text/event-stream", "cache-control": "no-store", **resume}

    def line(self, line: str) -> Iterator[Event | Reset | Hint]:
        """Take one line without its end; yield the event or hint that it ends."""
        if line:
            self._field(line)
            return
        fields, self._fields = self._fields, {}
        if "id" in fields:
            self.last_id = fields["id"] or None
        if "data" not in fields:
            return
        self.idle = False
        if fields.get("event") == "reset":
            yield Reset(self.last_id, _objects.decode(fields["data"] or "{}"))
        elif "id" not in fields:
            yield _hints.decode(fields["data"])
        else:
            yield _events.decode(fields["data"])

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in self._fields:
            self._fields["data"] += "\n" + value
        elif name == "retry":
            if value.isdecimal():
                self.pause = int(value) / 1000
        elif name:
            self._fields[name] = value

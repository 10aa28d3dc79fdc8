"""Where a worker's own log goes: standard error, as text or as JSON."""

import io
import json
import logging
import sys

from worker_client import tracing


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (traceparent := tracing.current()) is not None:
            fields["trace_id"] = traceparent.partition("-")[2].partition("-")[0]
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class _Present(io.TextIOBase):
    """Standard error as it is at the moment: a live picture takes its place, to print above itself."""

    def write(self, text: str) -> int:
        """Write."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush."""
        sys.stderr.flush()


def to_stderr(level: str, form: str) -> None:
    """Log from `level` on, as `text` or `json`."""
    handler = logging.StreamHandler(_Present())
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in ("httpx", "httpcore"):
        # They log addresses and headers, which may hold secrets.
        logging.getLogger(name).setLevel(logging.WARNING)

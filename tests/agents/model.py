"""A model on loopback that does what a script says, asked in any of the ways that agents know."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.agents.turns import INPUT_TOKENS, Limited, Refused, Say, Silent, Stalled, Turn
from tests.agents.wires import WIRES

PATIENCE_SECONDS: Final = 60


class Model:
    """The script and what came of it.

    `script` is played one turn per request; its last turn is repeated for ever. Requests without tools (titles, summaries)
    are answered beside the script. `asked` holds the bodies of the requests of the script.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.unknown: list[str] = []
        self._script: list[Turn] = [Say("done")]
        self._news = threading.Condition()
        self.over = threading.Event()

    def play(self, *script: Turn) -> None:
        """From the next request on, do this."""
        with self._news:
            self._script = list(script)

    def next(self, body: dict[str, Any]) -> Turn:
        """What to do now that it is asked."""
        with self._news:
            if not body.get("tools"):
                return Say("A title")
            self.asked.append(body)
            self._news.notify_all()
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def wait(self, condition: Callable[[], object]) -> None:
        """Until a request makes something so."""
        with self._news:
            assert self._news.wait_for(condition, PATIENCE_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path.partition("?")[0].endswith("/count_tokens"):
            self._json(200, {}, {"input_tokens": INPUT_TOKENS})
        elif "countTokens" in self.path:
            self._json(200, {}, {"totalTokens": INPUT_TOKENS})
        else:
            self._play(body)

    def _play(self, body: dict[str, Any]) -> None:
        wire = next((wire for wire in WIRES if self.path.startswith(wire.path)), None)
        if wire is None:
            self.model.unknown.append(self.path)
            self._json(404, {}, {"error": {"message": f"nothing is at {self.path}", "type": "not_found_error"}})
            return
        turn = self.model.next(body)
        if isinstance(turn, Limited | Refused):
            self._json(*wire.refusal(turn))
            return
        if isinstance(turn, Silent):
            self.model.over.wait()
            return
        events = wire.events(turn, body)
        if not (body.get("stream") or "streamGenerateContent" in self.path):
            # Only Gemini is asked for an answer in one piece, which looks like one of its stream's.
            self._json(200, {}, list(events)[-1][1])
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, data in events:
            self._event(name, data)
        if isinstance(turn, Stalled):
            self.model.over.wait()
        elif wire.path.endswith("completions"):
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, name: str, data: dict[str, Any]) -> None:
        typed = {"type": name, **data} if name else data
        head = f"event: {name}\n" if name else ""
        self.wfile.write(f"{head}data: {json.dumps(typed)}\n\n".encode())
        self.wfile.flush()

    def _json(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "content-type": "application/json", "content-length": str(len(payload))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    def do_GET(self) -> None:
        self.model.unknown.append(self.path)
        self._json(404, {}, {"error": {"message": f"nothing is at {self.path}"}})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is an agent that was ended."""


@contextmanager
def scripted() -> Iterator[Model]:
    """A model that says "done" until it is told otherwise."""

    class Handler(_Handler):
        pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        model = Handler.model = Model(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield model
        finally:
            model.over.set()
            server.shutdown()
            thread.join()

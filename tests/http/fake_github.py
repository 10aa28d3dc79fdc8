"""A GitHub of the tests' own, on a real socket: as much of its API as Apps are asked for, and as unkind as a test wants it."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

APP_ID = "123456"
Answer = tuple[int, Any, dict[str, str]]


class FakeGitHub:
    """`unkind` are answers that are given before any good ones, in their order; `files` and `commits` are what there is."""

    def __init__(self, public_key: str) -> None:
        self.public_key = public_key
        self.files: list[str] = []
        self.commits = 0
        self.unkind: list[Answer] = []
        self.asked: Counter[str] = Counter()
        self.tokens = 0
        self.good_tokens: set[str] = set()
        self.expires_at = "2100-01-01T00:00:00Z"
        self.clock: float | None = None
        self.url = ""

    def answer(self, path: str, query: dict[str, list[str]], credentials: str) -> Answer:
        self.asked[path] += 1
        if self.unkind:
            return self.unkind.pop(0)
        kind, _, token = credentials.partition(" ")
        if path.startswith("/app/") or path.endswith("/installation"):
            known = kind == "Bearer" and self.knows(token)
            return self.as_app(path) if known else (401, {"message": "A JSON web token could not be decoded"}, {})
        if kind != "token" or token not in self.good_tokens:
            return 401, {"message": "Bad credentials"}, {}
        page, each = int(query["page"][0]), int(query["per_page"][0])
        part = slice((page - 1) * each, page * each)
        if path.endswith("/files"):
            return 200, [{"filename": name} for name in self.files[part]], {}
        commits = [{"sha": f"c{n}", "commit": {"message": "m", "author": {"name": "bo"}}} for n in range(self.commits)]
        files = [{"filename": name} for name in self.files[:300]] if page == 1 else None
        return 200, {"total_commits": self.commits, "commits": commits[part], "files": files}, {}

    def as_app(self, path: str) -> Answer:
        if path.endswith("/installation"):
            return 200, {"id": 99}, {}
        self.tokens += 1
        self.good_tokens.add(f"ghs_{self.tokens}")
        return 201, {"token": f"ghs_{self.tokens}", "expires_at": self.expires_at}, {}

    def knows(self, token: str) -> bool:
        options: Any = {"verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self.public_key, algorithms=["RS256"], options=options)
        except jwt.PyJWTError:
            return False
        on_time = self.clock is None or claims["iat"] <= self.clock < claims["exp"] <= claims["iat"] + 600
        return claims["iss"] == APP_ID and on_time


@contextmanager
def fake_github(public_key: str, date: Callable[[], str] | None = None) -> Iterator[FakeGitHub]:
    """One that answers; `date` is what it says that time it is."""
    fake = FakeGitHub(public_key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def _handle(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            credentials = self.headers.get("authorization", "")
            status, body, headers = fake.answer(parts.path, parse_qs(parts.query), credentials)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = _handle  # noqa: N815 - names of the library

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(timestamp) if date is None else date()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

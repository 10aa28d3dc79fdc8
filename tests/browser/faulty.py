"""Pages that do what no page may, to see that it is noticed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

POLICY: Final = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:"
_HEAD: Final = (
    '<!doctype html><html lang="en"><head><title>Faulty</title><link rel="icon" href="data:,">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>'
)
_SCRIPTS: Final = {
    "fine": "document.querySelector('h1').textContent = 'Fine';",
    "error": "console.error('something is wrong');",
    "warning": "console.warn('something may be wrong');",
    "exception": "throw new TypeError('nobody caught it');",
    "rejection": "Promise.reject(new RangeError('nobody awaited it'));",
    "foreign": "fetch('http://elsewhere.example/spy').catch(() => {});",
    "broken": "fetch('/500').catch(() => {});",
    "missing": "fetch('/404').catch(() => {});",
    "cut": "fetch('/short').catch(() => {});",
    "aborted": "const ends = new AbortController(); fetch('/fine', {signal: ends.signal}).catch(() => {}); ends.abort();",
    "late": "addEventListener('click', () => setTimeout(() => { document.body.append('Done at last'); }, 50));",
    "heavy": "/* " + "x" * 40_000 + " */",
}
_BODIES: Final = {
    "inline": "<main><h1>Inline</h1></main><script>document.title = 'Broken in';</script>",
    "unreachable": '<main><h1>No name</h1><button></button><img src="/pixel.svg"></main>',
    "large": "<main><h1>Large</h1><p>" + "word " * 30_000 + "</p></main>",
    "wide": "<main><h1>Wide</h1><pre>" + "x" * 400 + "</pre></main>",
}


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.strip("/").partition("?")[0]
        if name == "short":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.")
        elif name.isdigit():
            self._answer("text/plain", "no", HTTPStatus(int(name)))
        elif name.endswith(".js"):
            self._answer("text/javascript", _SCRIPTS[name.removesuffix(".js")])
        elif name.endswith(".svg"):
            self._answer("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
        elif name in _BODIES:
            self._answer("text/html", f"{_HEAD}{_BODIES[name]}</body></html>")
        else:
            script = f'<script type="module" src="/{name}.js"></script>'
            self._answer("text/html", f"{_HEAD}<main><h1>{name}</h1></main>{script}</body></html>")

    def _answer(self, kind: str, text: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        if "foreign" not in self.path:  # where it would stop what the guard is to see
            self.send_header("content-security-policy", POLICY)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def faulty_pages() -> Iterator[str]:
    """Their address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    server.daemon_threads, server.block_on_close = True, False  # a browser opens connections on which it asks for nothing
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

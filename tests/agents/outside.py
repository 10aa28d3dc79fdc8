"""What would leave this machine: a proxy on loopback that writes down who was asked for, and refuses."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
DIRECT: Final = {"NO_PROXY": "127.0.0.1,localhost,::1", "no_proxy": "127.0.0.1,localhost,::1"}


class Outside:
    """The proxy; `asked` holds the first line of every request that came to it."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self.environment = {**dict.fromkeys(PROXIES, f"http://127.0.0.1:{port}"), **DIRECT}


@contextmanager
def watched() -> Iterator[Outside]:
    """A proxy that refuses all that it is asked for."""

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline(2000).decode(errors="replace").strip()
            if line:
                outside.asked.append(line)
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as server:
        server.daemon_threads = True
        outside = Outside(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield outside
        finally:
            server.shutdown()
            thread.join()

"""nginx and Caddy, as Debian has them, with the configurations that are shipped: in front of a test's own servers."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.acceptance.programs import PATIENCE_SECONDS
from tests.certificates import issued
from tests.postgres import free_port

CONFIG: Final = Path(__file__).parents[1] / "config"
PREFIX: Final = "/tasks"
KINDS: Final = ("nginx", "nginx-below", "caddy", "caddy-below")
FILES: Final = {
    "nginx": CONFIG / "nginx/orchestrator.conf",
    "nginx-below": CONFIG / "nginx/orchestrator-below.conf",
    "caddy": CONFIG / "caddy/Caddyfile",
    "caddy-below": CONFIG / "caddy/below.Caddyfile",
}
_ADDRESS: Final = "127.0.0.1:8080"
_NGINX: Final = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # What is shipped has to say otherwise where that is too short.
    proxy_read_timeout 1s;
    proxy_send_timeout 1s;
    proxy_connect_timeout 1s;
    client_max_body_size 1k;
    include {folder}/orchestrator.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """One that runs: `url` is the server's address through it, `port` where it listens, `folder` where its logs are."""

    url: str
    port: int
    folder: Path
    trusts: ssl.SSLContext
    process: "subprocess.Popen[bytes]"


def replaced(text: str, **others: tuple[str, str]) -> str:
    """A configuration with what only a test needs otherwise; each is there, or the file has changed."""
    for old, new in others.values():
        assert old in text, f"{old!r} is not in the configuration any more"
        text = text.replace(old, new)
    return text


def _certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = issued(key)
    (folder / "cert.pem").write_bytes(pem)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return ssl.create_default_context(cadata=pem.decode())


def nginx(kind: str, folder: Path, port: int, servers: Sequence[str]) -> list[str]:
    """Its command line, over the files that it reads."""
    text = FILES[kind].read_text()
    name = "www" if kind.endswith("below") else "tasks"
    line = f"server {_ADDRESS} max_fails=1 fail_timeout=2s;"
    text = replaced(
        text,
        port=("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        name=(f"{name}.example.org", "localhost"),
        certificate=(f"/etc/ssl/{name}.pem", f"{folder}/cert.pem"),
        key=(f"/etc/ssl/{name}.key", f"{folder}/key.pem"),
        servers=(line, "\n".join(line.replace(_ADDRESS, one) for one in servers)),
    )
    if kind == "nginx":
        text = replaced(text, plain=("listen 80;", f"listen 127.0.0.1:{free_port()};"))
    (folder / "orchestrator.conf").write_text(text)
    (folder / "snippets").mkdir(exist_ok=True)
    shutil.copy(CONFIG / "nginx/orchestrator-proxy.conf", folder / "snippets")
    user = "user root;" if Path(folder).owner() == "root" else ""
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, user=user))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


def caddy(kind: str, folder: Path, port: int, servers: Sequence[str]) -> list[str]:
    """Its command line, over the file that it reads."""
    name = "www" if kind.endswith("below") else "tasks"
    text = replaced(
        FILES[kind].read_text(),
        site=(f"{name}.example.org {{", f"localhost:{port} {{\n\ttls {folder}/cert.pem {folder}/key.pem"),
        servers=(f"reverse_proxy {_ADDRESS} {{", f"reverse_proxy {' '.join(servers)} {{"),
    )
    if len(servers) > 1:
        text = replaced(text, path=("# health_uri", "health_uri"), interval=("# health_interval", "health_interval"))
    # No port 80, which may be taken, and no file of the user's.
    settings = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}/data\n}}\n"
    (folder / "Caddyfile").write_text(settings + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def checked(kind: str, line: list[str], folder: Path) -> None:
    """The proxy's own opinion of its configuration. Raises AssertionError."""
    check = [*line, "-t"] if kind.startswith("nginx") else ["caddy", "validate", *line[2:]]
    ran = subprocess.run(check, capture_output=True, text=True, check=False, env=_environment(folder), timeout=PATIENCE_SECONDS)
    assert ran.returncode == 0, ran.stderr
    assert "[warn]" not in ran.stderr, ran.stderr


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}


@contextlib.contextmanager
def proxied(kind: str, folder: Path, *servers: str) -> Iterator[Proxy]:
    """A proxy of one kind (of KINDS) in front of servers, which are `host:port`; it answers at https://localhost."""
    port, trusts = free_port(), _certificate(folder)
    line = (nginx if kind.startswith("nginx") else caddy)(kind, folder, port, servers)
    checked(kind, line, folder)
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(folder))
    try:
        _answers(process, port, folder)
        below = PREFIX if kind.endswith("below") else ""
        yield Proxy(f"https://localhost:{port}{below}", port, folder, trusts, process)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            assert process.poll() is None, (folder / "proxy.log").read_text()
            assert time.monotonic() < deadline, (folder / "proxy.log").read_text()
            time.sleep(0.02)
        else:
            return

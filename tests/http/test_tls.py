"""https by certificate files."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.http.certificate import Certificate, CertificateError, certified
from orchestrator.settings import Limits, SettingsError, load
from orchestrator.settings import Server as Listening
from tests.certificates import issued
from tests.http.conftest import Running, serving, until
from tests.http.raw import Raw

pytestmark = pytest.mark.anyio

PASSWORD = "open sesame"
_PEM = serialization.Encoding.PEM


def text(of: ec.EllipticCurvePrivateKey, password: str = "") -> bytes:
    """A key, under a password or not."""
    lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return of.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, lock)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with cert.pem and key.pem of localhost; both.pem, locked.pem (under a password), and key2.pem of others."""
    directory = tmp_path_factory.mktemp("certificates")
    key = ec.generate_private_key(ec.SECP256R1())
    found = {"cert": issued(key), "key": text(key), "locked": text(key, PASSWORD)}
    found |= {"key2": text(ec.generate_private_key(ec.SECP256R1())), "both": found["cert"] + found["key"]}
    for file, content in found.items():
        (directory / f"{file}.pem").write_bytes(content)
    return directory


@pytest.fixture(scope="module")
def trusting(files: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files / "cert.pem"))


@pytest.fixture(scope="module")
async def server(
    anyio_backend: object, files: Path, trusting: ssl.SSLContext, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    listening = Listening(port=0, tls_certfile=str(files / "cert.pem"), tls_keyfile=str(files / "key.pem"))
    path = tmp_path_factory.mktemp("tls") / "tasks.db"
    async with serving(path, verify=trusting, server=listening, limits=Limits(header_seconds=1)) as running:
        yield running


def named(server: Running) -> str:
    """The address under the name that the certificate is for."""
    return server.address.replace("127.0.0.1", "localhost")


async def test_it_answers_over_https(server: Running, trusting: ssl.SSLContext) -> None:
    assert server.address.startswith("https://127.0.0.1:")
    async with httpx.AsyncClient(base_url=named(server), verify=trusting) as client:
        for path in ("/health/live", "/api/v1/tasks", "/api/v1/nothing"):
            answer = await client.get(path)
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert answer.headers["x-content-type-options"] == "nosniff"
        created = await client.post("/api/v1/tasks", json={"work_directory": "/tls", "prompt": "x" * 900_000})
        assert created.status_code == 201
        assert len((await client.get(f"/api/v1/tasks/{created.json()['data']['id']}")).json()["data"]["prompt"]) == 900_000
        async with client.stream("GET", "/api/v1/events") as stream:
            assert (await anext(stream.aiter_lines())).startswith("retry")


async def test_a_client_that_does_not_know_the_certificate_leaves(server: Running) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            await client.get(f"{named(server)}/health/live")


async def test_a_claim_whose_asker_left_goes_back(server: Running, trusting: ssl.SSLContext) -> None:
    async with httpx.AsyncClient(base_url=named(server), verify=trusting) as client:
        query: dict[str, str | int] = {"work_path": "/tls/left", "worker_id": "w", "wait": 50}
        polling = asyncio.create_task(client.get("/api/v1/tasks/next", params=query))
        await until(lambda: server.queue.parked)
        polling.cancel()
        await until(lambda: not server.queue.parked)


async def test_who_speaks_plainly_or_not_at_all_is_let_go(server: Running) -> None:
    plain = server.address.replace("https", "http")
    async with Raw.open(plain) as spoken, Raw.open(plain) as silent:
        await spoken.send(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b"HTTP" not in await spoken.rest()
        assert b"HTTP" not in await silent.rest()


@pytest.mark.parametrize(
    ("certificate", "key", "password"),
    [("cert", "key", ""), ("both", None, ""), ("cert", "locked", PASSWORD), ("cert", "key", "unused")],
)
def test_files_that_fit(files: Path, certificate: str, key: str | None, password: str) -> None:
    found = Certificate(
        Listening(
            tls_certfile=str(files / f"{certificate}.pem"),
            tls_keyfile="" if key is None else str(files / f"{key}.pem"),
            tls_key_password=password,
        )
    )
    assert found.context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("certificate", "key", "password"),
    [
        ("none", "key", ""),
        ("cert", "none", ""),
        ("cert", None, ""),
        ("cert", "key2", ""),
        ("cert", "locked", ""),
        ("cert", "locked", "wrong"),
    ],
)
def test_files_that_do_not_fit(files: Path, certificate: str, key: str | None, password: str) -> None:
    wrong = Listening(
        tls_certfile=str(files / f"{certificate}.pem"),
        tls_keyfile="" if key is None else str(files / f"{key}.pem"),
        tls_key_password=password,
    )
    with pytest.raises(CertificateError, match=f"server.tls_certfile: .*{certificate}.pem.*cannot be used") as raised:
        certified(wrong)
    assert "wrong" not in str(raised.value)


async def test_a_renewed_certificate_is_used_without_a_restart(anyio_backend: object, files: Path, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes((files / "cert.pem").read_bytes())
    key.write_bytes((files / "key.pem").read_bytes())
    listening = Listening(port=0, tls_certfile=str(certificate), tls_keyfile=str(key))
    async with serving(tmp_path / "tasks.db", server=listening) as renewing:

        async def trusts(file: Path) -> bool:
            async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(file))) as client:
                try:
                    return (await client.get(f"{named(renewing)}/health/live")).is_success
                except httpx.ConnectError:
                    return False

        found = renewing.server._tls
        assert found is not None
        other = ec.generate_private_key(ec.SECP256R1())
        certificate.write_bytes(issued(other))
        found.look()
        assert await trusts(files / "cert.pem"), "its key is not there yet"
        key.write_bytes(text(other))
        found.look()
        assert await trusts(certificate)
        assert not await trusts(files / "cert.pem")
        key.unlink()
        found.look()
        assert await trusts(certificate)


def test_a_key_alone_is_no_certificate() -> None:
    assert certified(Listening()) is None
    with pytest.raises(SettingsError, match="tls_certfile"):
        load(environ={"APP_SERVER_TLS_KEYFILE": "key.pem"})


def test_a_password_is_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        load(environ={"APP_SERVER_TLS_KEY_PASSWORD": PASSWORD})
    assert PASSWORD not in str(raised.value)

"""What https needs, from files."""

import ssl
from pathlib import Path

import structlog

from orchestrator.settings import Server
from worker_client.errors import OrchestratorError

log = structlog.get_logger()


class CertificateError(OrchestratorError):
    """The certificate or its key cannot be used."""


class Certificate:
    """The certificate that the settings name, and its key; `context` takes new ones when the files change.

    Raises CertificateError.
    """

    def __init__(self, server: Server) -> None:
        self._password = server.tls_key_password
        self._files = [Path(file) for file in (server.tls_certfile, server.tls_keyfile) if file]
        self._seen: list[tuple[int, int]] = []
        self.context = _context()
        self.context.set_alpn_protocols(["http/1.1"])
        self._load()

    def look(self) -> None:
        """Use the files anew when they were renewed; while they cannot be used, what there was stays."""
        try:
            if self._load():
                log.info("the certificate was renewed")
        except CertificateError as error:
            log.error("the renewed certificate cannot be used", reason=error.message)  # noqa: TRY400  it says what is wrong

    def _load(self) -> bool:
        """Whether there was anything new."""
        try:
            written = [(found.st_mtime_ns, found.st_ino) for found in (file.stat() for file in self._files)]
            if written == self._seen:
                return False
            self._seen = written
            # One that takes half of what does not fit together is of no use any more.
            for context in (_context(), self.context):
                # Without a password it would ask for one on the terminal.
                context.load_cert_chain(self._files[0], self._files[-1], lambda: self._password)
        except (OSError, ValueError) as error:
            raise CertificateError(
                f"server.tls_certfile: {' and '.join(map(str, self._files))} cannot be used: {error}; expected the certificate "
                "chain in PEM, its key behind it or in server.tls_keyfile, and the key's password, if it has one, in "
                "APP_SERVER_TLS_KEY_PASSWORD"
            ) from None
        return True


def _context() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


def certified(server: Server) -> Certificate | None:
    """The certificate, when the settings name one. Raises CertificateError."""
    return Certificate(server) if server.tls_certfile else None

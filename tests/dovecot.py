"""A real dovecot with one account, in a folder of its own. Debian has it in dovecot-imapd; it has to be started by root."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import imap_tools
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.mail.account import Account
from tests.certificates import issued
from tests.postgres import free_port

USER, PASSWORD = "agent", "geheimäöü"
_CONFIGURATION: Final = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/tls.pem
ssl_key = <{folder}/tls.pem
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
  }}
}}
service anvil {{
  chroot =
}}
"""


class Dovecot:
    """Started by `start`; `stop` kills it, `close` takes all of it away."""

    def __init__(self) -> None:
        if os.geteuid() or shutil.which("dovecot") is None:
            pytest.skip("needs root and dovecot-imapd")
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._folder.chmod(0o755)
        self.plain, self.tls = free_port(), free_port()
        owner = pwd.getpwnam("mail")
        (self._folder / "mail").mkdir()
        os.chown(self._folder / "mail", owner.pw_uid, owner.pw_gid)
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.certificate = self._folder / "cert.pem"
        self.certificate.write_bytes(issued(key))
        (self._folder / "tls.pem").write_bytes(private + self.certificate.read_bytes())
        facts = {"folder": self._folder, "password": PASSWORD, "uid": owner.pw_uid, "gid": owner.pw_gid}
        text = _CONFIGURATION.format(plain=self.plain, tls=self.tls, **facts)
        (self._folder / "dovecot.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        self._process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(self._folder / "dovecot.conf")])
        deadline = time.monotonic() + 20
        while True:
            try:
                self._box().logout()
            except OSError:
                assert time.monotonic() < deadline, (self._folder / "dovecot.log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def account(self, **facts: Any) -> Account:
        given = {"server": "localhost", "user": USER, "password": PASSWORD, "port": self.tls, "ca_file": str(self.certificate)}
        return Account(**{**given, **facts})

    def _box(self) -> imap_tools.MailBoxUnencrypted:
        box = imap_tools.MailBoxUnencrypted("127.0.0.1", self.plain, 20)
        box.login_utf8(USER, PASSWORD)
        return box

    def put(self, raw: bytes, folder: str = "INBOX", *, seen: bool = False) -> None:
        with self._box() as box:
            box.append(raw, folder, flag_set=[imap_tools.MailMessageFlags.SEEN] if seen else [])

    def add_folder(self, name: str) -> None:
        with self._box() as box:
            box.folder.create(name)

    def seen(self, folder: str = "INBOX") -> dict[str, bool]:
        """Which subjects there are, and whether they are read."""
        with self._box() as box:
            box.folder.set(folder, readonly=True)
            return {one.subject: imap_tools.MailMessageFlags.SEEN in one.flags for one in box.fetch(mark_seen=False)}

    def renumber(self) -> None:
        """Have it forget which number each mail has."""
        self.stop()
        for file in (self._folder / "mail" / USER).glob("dovecot*"):
            file.unlink()
        # A new UIDVALIDITY is the second in which it is made.
        time.sleep(1.1)
        self.start()

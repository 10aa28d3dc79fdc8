"""What pages show of files of other programs is right."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.settings import SECTIONS
from tests.certificates import issued
from tests.docs.blocks import ROOT, Block, blocks
from tests.postgres import free_port


def shown(page: str, language: str) -> list[Block]:
    """The blocks of a page that this file tries."""
    return [one for one in blocks(ROOT / page) if one.language == language and one.detail == "tests/docs/test_shown.py"]


def test_compose_mounts_secrets_where_the_server_looks() -> None:
    (block,) = shown("docs/secrets.md", "yaml")
    said: dict[str, Any] = yaml.safe_load(block.text)
    (service,) = said["services"].values()
    (variable,) = service["environment"]
    section, _, key = variable.removeprefix("APP_").lower().partition("_")
    assert key in SECTIONS[section].__struct_fields__
    # Compose mounts all secrets of a service there.
    assert service["environment"][variable] == "/run/secrets"
    assert service["secrets"] == list(said["secrets"])


@pytest.mark.system
def test_nginx_takes_it(tmp_path: Path) -> None:
    (block,) = shown("docs/security.md", "nginx")
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "tasks.pem").write_bytes(issued(key))
    (tmp_path / "tasks.key").write_bytes(private)
    site = block.text.replace("/etc/ssl/", f"{tmp_path}/").replace("listen 443", f"listen {free_port()}")
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{site} }}\n"
    )
    ran = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.system
def test_caddy_takes_it(tmp_path: Path) -> None:
    (block,) = shown("docs/security.md", "")
    (tmp_path / "Caddyfile").write_text(block.text)
    check = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    told = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run(check, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.system
def test_compose_knows_all_of_it(tmp_path: Path) -> None:
    (block,) = shown("docs/secrets.md", "yaml")
    (tmp_path / "compose.yml").write_text(block.text)
    check = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run([*check, str(tmp_path / "compose.yml")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr

"""What pages show of files of other programs is right."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.settings import SECTIONS
from tests.docs.blocks import ROOT, Block, blocks


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
def test_compose_knows_all_of_it(tmp_path: Path) -> None:
    (block,) = shown("docs/secrets.md", "yaml")
    (tmp_path / "compose.yml").write_text(block.text)
    check = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    ran = subprocess.run([*check, str(tmp_path / "compose.yml")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr

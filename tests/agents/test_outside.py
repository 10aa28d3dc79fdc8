"""Nothing of the programs leaves this machine: seen at the system calls, for those that ask no proxy."""

import re
import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.agents.homes import Home
from tests.agents.model import scripted
from tests.agents.turns import Say, Shell
from worker_client.runners.agent.known import KNOWN
from worker_client.runners.agent.protocol import Assignment
from worker_client.runners.agent.settings import AgentSettings

pytestmark = pytest.mark.agents

ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("agent", ["claude", "codex", "opencode", "gemini"])
def test_every_address_that_is_asked_is_of_this_machine(home: Home, programs: Path, tmp_path: Path, agent: str) -> None:
    directory, prompt, trace = tmp_path / "project", tmp_path / "prompt", tmp_path / "trace"
    directory.mkdir()
    subprocess.run(["git", "init", "-q", str(directory)], check=True)
    prompt.write_text("Fix the flaky test.")
    assignment = Assignment(
        prompt="Fix the flaky test.",
        prompt_file=prompt,
        directory=str(directory),
        session_id=None,
        fresh_session_id="11111111-2222-4333-8444-555555555555",
    )
    launch = KNOWN[agent].launch(assignment, AgentSettings(program=str(programs / agent)))
    with scripted() as model, prompt.open() as given:
        home.ask(model.url)
        model.play(Shell("true"), Say("Done."))
        ran = subprocess.run(
            ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=connect,sendto,sendmsg,sendmmsg", *launch.argv],
            cwd=directory,
            env=home.environment,
            stdin=given,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert "Done." in ran.stdout, ran.stderr
        port = model.url.rpartition(":")[2]
    text = trace.read_text(errors="replace")
    asked = {found[1] or found[2] for found in ADDRESS.finditer(text)}
    assert f"htons({port})" in text
    assert {address for address in asked if not ip_address(address).is_loopback} == set()

"""Which Workers a process consists of."""

import getpass
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from worker_client.errors import ConfigurationError
from worker_client.hiring import UnknownNameError, Wanted, hire
from worker_client.places import OwnDirectory
from worker_client.shift import Shift
from worker_client.worker import Worker
from worker_client.worktrees import Worktrees


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """A machine with claude and an agent of one's own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("claude", "my-agent"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return {"PATH": str(programs), "HOME": str(tmp_path), "ORCHESTRATOR_STATE_DIR": str(tmp_path / "state")}


def settings(tmp_path: Path, text: str) -> Path:
    (tmp_path / "worker.toml").write_text(text)
    return tmp_path / "worker.toml"


OWN = '[agents.mine]\ncommand = ["my-agent", "{prompt_file}"]\naccount = "team"\n'


def hired(tmp_path: Path, environ: Mapping[str, str], **wanted: Any) -> list[Worker]:
    return hire(Wanted(directories=(tmp_path,), host="here", worker_id="w", **wanted), Shift(), environ)


def facts(worker: Worker) -> tuple[str, str | None, list[str], str | None, bool]:
    return worker.worker_id, worker.agent, worker.kinds, worker._account, worker._exclusive


def test_one_worker_per_agent_and_one_for_the_other_kinds(tmp_path: Path, environ: Mapping[str, str]) -> None:
    workers = hired(tmp_path, environ, agents=("claude", "mine"), config=settings(tmp_path, OWN))
    assert [facts(worker) for worker in workers] == [
        ("w-claude", "claude", ["agent"], f"claude:{getpass.getuser()}@here", True),
        ("w-mine", "mine", ["agent"], "team", True),
        ("w", None, ["script"], None, False),
    ]
    assert not any(worker.unable for worker in workers)


def test_auto_is_what_is_found(tmp_path: Path, environ: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
    config = settings(tmp_path, OWN + '[agents.away]\ncommand = ["away-agent"]\n[agents.claude]\nmodel = "opus"\n')
    found = [worker.agent for worker in hired(tmp_path, environ, agents=("auto", "claude"), config=config)]
    assert found == ["claude", "mine", None]
    with caplog.at_level(logging.WARNING):
        assert [worker.agent for worker in hired(tmp_path, {**environ, "PATH": "/nowhere"}, agents=("auto",))] == [None]
    assert "no agent is found on PATH" in caplog.text


def test_accounts_are_named_by_agent(tmp_path: Path, environ: Mapping[str, str]) -> None:
    config = settings(tmp_path, OWN)
    workers = hired(tmp_path, environ, agents=("mine",), accounts=(("mine", "other"),), config=config)
    assert workers[0]._account == "other"
    with pytest.raises(UnknownNameError, match="--account names codex, which is no agent of this worker; it has: claude"):
        hired(tmp_path, environ, agents=("claude",), accounts=(("codex", "x"),))


def test_in_worktrees_several_agents_share_a_directory(tmp_path: Path, environ: Mapping[str, str]) -> None:
    one, other, script = hired(tmp_path, environ, agents=("claude", "mine"), config=settings(tmp_path, OWN), worktree=True)
    assert not one._exclusive
    assert isinstance(one._places, Worktrees)
    assert one._places is other._places
    assert isinstance(script._places, OwnDirectory)


def test_kinds(tmp_path: Path, environ: Mapping[str, str]) -> None:
    assert [worker.kinds for worker in hired(tmp_path, environ, agents=("claude",), kinds=("agent",))] == [["agent"]]
    with pytest.raises(UnknownNameError, match=r"kind opera; it can run: .*script"):
        hired(tmp_path, environ, kinds=("opera",))
    with pytest.raises(UnknownNameError, match="name the agents, as in --agent claude"):
        hired(tmp_path, environ, kinds=("agent",))


def test_an_agent_that_there_is_not(tmp_path: Path, environ: Mapping[str, str]) -> None:
    with pytest.raises(UnknownNameError, match=r"no agent is called hal: there are claude,"):
        hired(tmp_path, environ, agents=("hal",), config=settings(tmp_path, OWN))
    (missing, other) = hired(tmp_path, {**environ, "PATH": "/nowhere"}, agents=("claude",))
    assert missing.unable == "claude is not installed: there is no claude on PATH"
    assert other.unable is None
    assert hired(tmp_path, {**environ, "PATH": "/nowhere"}, agents=("auto",), kinds=("agent",)) == []


def test_settings_that_are_wrong(tmp_path: Path, environ: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"worker\.toml: agents.*stall"):
        hired(tmp_path, environ, config=settings(tmp_path, "[agents.claude]\nstall = 3\n"))
    workers = hired(tmp_path, environ, agents=("claude",), stall_seconds=7.0)
    assert workers[0]._runners["agent"]._settings.stall_seconds == 7  # type: ignore[attr-defined]


def test_http_and_function_tasks_are_done_only_when_asked_for(tmp_path: Path, environ: Mapping[str, str]) -> None:
    (plain,) = hired(tmp_path, environ)
    assert plain.kinds == ["script"]
    (calling,) = hired(tmp_path, environ, functions=("json:dumps",))
    assert calling.kinds == ["function", "script"]
    (sending,) = hired(tmp_path, environ, kinds=("http",), functions=("json:dumps",), private_addresses=("10.0.0.0/8",))
    assert sending.kinds == ["function", "http"]
    with pytest.raises(UnknownNameError, match=r"as in --function package\.module:function"):
        hired(tmp_path, environ, kinds=("function",))
    with pytest.raises(ConfigurationError, match="can't be imported"):
        hired(tmp_path, environ, functions=("json:no_such",))
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/99"):
        hired(tmp_path, environ, kinds=("http",), private_addresses=("10.0.0.0/99",))

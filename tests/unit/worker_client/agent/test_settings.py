"""The worker's file of settings."""

from pathlib import Path

import pytest

from worker_client.errors import ConfigurationError
from worker_client.runners.agent.claude import Claude
from worker_client.runners.agent.custom import PRESETS, Custom
from worker_client.runners.agent.known import KNOWN, agent_named
from worker_client.runners.agent.settings import AgentSettings, DirectorySettings, WorkerSettings, load


def written(folder: Path, text: str) -> Path:
    file = folder / "worker.toml"
    file.write_text(text)
    return file


def test_all_of_it(tmp_path: Path) -> None:
    settings = load(
        written(
            tmp_path,
            """
            [agents.claude]
            program = "/usr/local/bin/claude"
            args = ["--permission-mode", "acceptEdits"]
            model = "opus"
            inherit = ["AWS_PROFILE"]
            account = "team"
            stall_seconds = 60

            [agents.mine]
            command = ["mine", "{prompt}"]
            done = "^ready$"

            [directories."/srv/a"]
            verify = "make test"
            """,
        )
    )
    assert settings.agents["claude"].stall_seconds == 60
    assert settings.agents["mine"].done == "^ready$"
    assert settings.directories == {"/srv/a": DirectorySettings(verify="make test")}
    assert isinstance(agent_named("claude", settings), Claude)
    assert isinstance(agent_named("mine", settings), Custom)
    assert {name: agent_named(name, settings).name for name in [*KNOWN, *PRESETS]} == {name: name for name in [*KNOWN, *PRESETS]}


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    config = tmp_path / ".config/task-orchestrator"
    config.mkdir(parents=True)
    written(config, '[agents.claude]\nmodel = "opus"')
    assert load(environ={"HOME": str(tmp_path)}).agents == {"claude": AgentSettings(model="opus")}
    assert load(environ={"HOME": "/", "XDG_CONFIG_HOME": str(tmp_path / ".config")}).agents
    assert load(environ={"HOME": str(config)}) == WorkerSettings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agents", "no valid TOML"),
        ("[agent.claude]", "the file: Object contains unknown field `agent`"),
        ("[agents.claude]\nprogramm = 'x'", "agents.NAME: Object contains unknown field `programm`"),
        ("[agents.claude]\nstall_seconds = 0", "agents.NAME.stall_seconds: Expected `float` > 0"),
        ("[agents.x]\ncommand = ['x']\nquota = '('", r"agents.x.quota: '\(' is no regular expression"),
        ("[directories.'/a']\nverify = ''", "directories.NAME.verify: Expected `str` of length >= 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"worker\.toml: {words}"):
        load(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: there is no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="can't be read"):
        load(tmp_path)


def test_agents_that_there_are_not() -> None:
    with pytest.raises(ConfigurationError, match=r"no agent is called nobody: there are claude, .*cursor, aider, goose"):
        agent_named("nobody", WorkerSettings())
    with pytest.raises(ConfigurationError, match="there is no preset curser; there are cursor, aider, goose"):
        agent_named("mine", WorkerSettings(agents={"mine": AgentSettings(preset="curser")}))

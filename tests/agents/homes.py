"""The folder and the settings of a user of the agents' command lines, who wants neither telemetry nor updates."""

import json
import os
from pathlib import Path
from typing import Any, Final

SILENT: Final = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
}
"""Turns off what isn't turned off in a file of settings."""

CODEX: Final = """\
model = "{model}"
model_provider = "scripted"
check_for_update_on_startup = false

[analytics]
enabled = false

[feedback]
enabled = false

[features]
apps = false
plugins = false

[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


class Home:
    """A user's own folder; `environment` is all that the programs see of this machine."""

    def __init__(self, path: Path, programs: list[Path]) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.environment = {
            **SILENT,
            "HOME": str(path),
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "XDG_CACHE_HOME": str(path / ".cache"),
            "XDG_CONFIG_HOME": str(path / ".config"),
            "XDG_DATA_HOME": str(path / ".local/share"),
            "XDG_STATE_HOME": str(path / ".local/state"),
        }

    def ask(self, url: str, *, key: str = "scripted-key", model: str = "scripted-model") -> None:
        """Let all of the agents ask the model at `url`."""
        self.environment |= {
            "ANTHROPIC_API_KEY": key,
            "ANTHROPIC_BASE_URL": url,
            "GEMINI_API_KEY": key,
            "GOOGLE_GEMINI_BASE_URL": url,
            "SCRIPTED_KEY": key,
        }
        self.write(".codex/config.toml", CODEX.format(url=url, model=model))
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "scripted",
            "options": {"baseURL": f"{url}/v1", "apiKey": "{env:SCRIPTED_KEY}"},
            "models": {model: {"name": model, "cost": {"input": 1, "output": 2}, "limit": {"context": 200_000, "output": 8_000}}},
        }
        opencode = {
            "autoupdate": False,
            "share": "disabled",
            "model": f"scripted/{model}",
            "small_model": f"scripted/{model}",
            "enabled_providers": ["scripted"],
            "provider": {"scripted": provider},
        }
        self.write_json(".config/opencode/opencode.json", opencode)
        # It would install the types of its plugins, and has no other setting against that.
        self.write(".npmrc", "offline=true\n")
        gemini = {
            "model": {"name": "gemini-2.5-flash"},
            "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
            "privacy": {"usageStatisticsEnabled": False},
            "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
            "telemetry": {"enabled": False},
        }
        self.write_json(".gemini/settings.json", gemini)

    def subscribe(self) -> None:
        """Let Claude Code be logged in to a plan: it is told when a limit ends only then."""
        del self.environment["ANTHROPIC_API_KEY"]
        self.environment["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-scripted"

    def write(self, name: str, text: str) -> None:
        """Write a file below this folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a file of JSON below this folder."""
        self.write(name, json.dumps(value))

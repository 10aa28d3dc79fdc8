"""Writes docs/reference/settings.md from the settings and config/default.toml: `python -m docs`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from docs.writing import code, paragraphs, table, typed
from orchestrator.settings import SECTIONS
from orchestrator.settings.sections import SECRETS

DEFAULTS: Final = Path(__file__).parents[2] / "config/default.toml"
_KEY: Final = re.compile(r"(?P<key>\w+) = (?P<value>\"[^\"]*\"|\[\]|\S+)(?: +# (?P<said>.+))?")
_START: Final = "(start) "
INTRODUCTION: Final = """\
# Settings

<!-- Written by docs/reference/settings.py from orchestrator/settings and config/default.toml; a test compares them. -->

They come from `config/default.toml`, `config/<APP_ENV>.toml`, `config/local.toml` (yours), `--config FILE`, variables and flags;
later ones win. The variable of `port` in `[server]` is `APP_SERVER_PORT`; a list in a variable is separated by commas. What
cannot be used is refused at the start, with the place where it stands.

`orchestrator reload`, or SIGHUP, has them read anew; those that are taken over at the start wait for the next one. Secrets are
best kept in variables. The settings of workers are [the options of their program](worker-cli.md) and [its file](../agents.md).

"""


def pages() -> Mapping[str, str]:
    """The page by its place below docs/reference."""
    said = meanings()
    return {"settings.md": INTRODUCTION + "\n".join(line for section in SECTIONS for line in _section(section, said[section]))}


def meanings() -> dict[str, dict[str, str]]:
    """The comments of config/default.toml by section and key; a line of comment alone goes on with the one before."""
    found: dict[str, dict[str, str]] = {}
    of, key = "", ""
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            of, key = line.strip("[]"), ""
            found[of] = {}
        elif match := _KEY.fullmatch(line):
            key = match["key"]
            found[of][key] = match["said"] or ""
        elif key and line.strip().startswith("#"):
            found[of][key] += f" {line.strip().removeprefix('#').strip()}"
    return found


def _section(name: str, said: dict[str, str]) -> list[str]:
    kind = SECTIONS[name]
    (schema,), more = msgspec.json.schema_components([kind])
    properties = more[schema["$ref"].rpartition("/")[2]]["properties"]
    rows = [_setting(name, key, facts, said[key]) for key, facts in properties.items()]
    about = paragraphs(kind.__doc__ or "")[0]
    return [f"## {name}", "", about, "", *table(("key and variable", "type", "default", "taken over", "meaning"), rows), ""]


def _setting(section: str, key: str, schema: dict[str, Any], said: str) -> tuple[str, ...]:
    kind = typed(schema, lambda name: name)
    taken = "at the start" if section == "database" or said.startswith(_START) else "by reload"
    said = said.removeprefix(_START)
    if (section, key) in SECRETS:
        said += "; never shown"
    if key.startswith("head_start_") and not said:
        said = "the same of this priority"
    names = f"`{key}` `{f'APP_{section}_{key}'.upper()}`"
    return names, kind, code(schema["default"]), taken, said

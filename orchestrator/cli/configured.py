"""The server's settings, from files, the environment and flags."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import Exit, fail

if TYPE_CHECKING:
    from orchestrator.settings import Settings

CONFIG = "APP_CONFIG"
database_option = click.option(
    "--database",
    metavar="URL",
    help="sqlite:///data/tasks.db (relative), sqlite:////data/tasks.db (absolute) or postgresql://user@host/name.  "
    "[env: APP_DATABASE_URL]",
)
config_option = click.option(
    "--config",
    metavar="FILE",
    envvar=CONFIG,
    show_envvar=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of settings over config/*.toml.",
)


def load(config: Path | None, **sections: dict[str, Any]) -> "Settings":
    """The settings; a wrong one ends the command, with its name and place."""
    from orchestrator import settings

    try:
        return read(config, **sections)
    except settings.SettingsError as error:
        fail(str(error), Exit.USAGE)


def read(config: Path | None, **sections: dict[str, Any]) -> "Settings":
    """The settings. Raises SettingsError."""
    from orchestrator import resources, settings

    return settings.load([resources.config(), Path("config")], os.environ, file=config, overrides=sections)


def unknown_variables() -> list[str]:
    """APP_ variables that mean nothing here."""
    from orchestrator import settings

    return [name for name in settings.unknown_variables(os.environ) if name != CONFIG]

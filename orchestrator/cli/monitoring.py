"""`orchestrator monitoring`: the dashboard and the alert rules that belong to this version."""

from pathlib import Path
from typing import Final

import rich_click as click

from orchestrator.cli.exits import Exit, fail
from orchestrator.resources import config

FILES: Final = ("prometheus/prometheus.yml", "prometheus/alerts.yml", "grafana/orchestrator.json")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace files that are there.")
def monitoring(folder: Path, *, force: bool) -> None:
    """Write what Prometheus and Grafana need into FOLDER: a configuration, alert rules, a dashboard."""
    texts = {folder / Path(name).name: (config() / name).read_text(encoding="utf-8") for name in FILES}
    if not force and (there := [str(path) for path in texts if path.exists()]):
        fail(f"{', '.join(there)} would be replaced; choose another folder, or --force", Exit.CONFLICT)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
            click.echo(path)
    except OSError as error:
        fail(f"{folder}: {error.strerror}")

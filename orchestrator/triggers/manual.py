"""Somebody who has a key fires it."""

from orchestrator.triggers.base import Settings, Trigger


class ManualSettings(Settings, kw_only=True):
    """`confirm`: only who says so a second time begins a run."""

    confirm: bool = False


class Manual(Trigger[ManualSettings]):
    """Fired with `POST /triggers/workflows/{id}/manual`."""

    name = "manual"
    settings = ManualSettings

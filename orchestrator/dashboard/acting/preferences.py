"""What somebody prefers: kept by their browser."""

from collections.abc import Mapping
from typing import Final

from orchestrator.dashboard.acting.act import Act, Done
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.texts import languages
from orchestrator.dashboard.visit import LANGUAGE, THEME, THEMES, Visit

_YEAR_S: Final = 31_536_000


async def _prefer(visit: Visit, form: Form) -> Done:
    known = {"theme": (THEME, THEMES), "language": (LANGUAGE, languages())}
    headers = []
    for name, (cookie, choices) in known.items():
        chosen = form.text(name)
        if chosen is not None:
            # What is none of them, such as `system`, takes the choice back.
            headers.append((b"set-cookie", _cookie(visit, cookie, chosen if chosen in choices else "")))
    return Done("", back=form.back, headers=tuple(headers))


def _cookie(visit: Visit, name: str, value: str) -> bytes:
    kept = f"{name}={value}; Path={visit.root or '/'}; Max-Age={_YEAR_S if value else 0}; SameSite=Strict; HttpOnly"
    return (kept + ("; Secure" if visit.request.scope["scheme"] == "https" else "")).encode()


ACTIONS: Final[Mapping[str, Act]] = {"prefer": _prefer}

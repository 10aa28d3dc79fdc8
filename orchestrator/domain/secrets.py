"""Secrets, of which the rules know the names alone: which there are, and who may use them."""

import re
from typing import Final

from orchestrator.domain.principal import Principal
from orchestrator.domain.rules import Rules
from orchestrator.domain.task import Inputs
from worker_client.contract.fields import SECRET_NAME
from worker_client.errors import Forbidden, ValidationFailed

# What follows a $ is an expression of GitHub's workflows, which look the same.
REFERENCE: Final = re.compile(r"(?<!\$)\{\{ *secrets\.(?:(" + SECRET_NAME.pattern + r") *\}\})?")
ASKING: Final = ("prompt", "spec", "environment")
"""The inputs of a task that may ask for secrets."""


def unknown(names: str, rules: Rules) -> list[str]:
    """Those of a task's secrets that there are not."""
    return [name for name in names.split() if name not in rules.secrets]


def may_use(names: str, by: Principal) -> bool:
    """Whether all of a task's secrets are for somebody."""
    return all(map(by.may_use, names.split()))


def permit(names: str, by: Principal, field: str) -> None:
    """Refuse who may not use all of a task's secrets. Raises Forbidden."""
    if refused := next((name for name in names.split() if not by.may_use(name)), None):
        raise Forbidden(f"this key may not use the secret {refused}: have it allowed, or ask with another key", field=field)


def check(names: str, by: Principal, rules: Rules, field: str) -> None:
    """Refuse a task whose secrets are not there, or not for who asks; what there is only those learn who may use it."""
    permit(names, by, field)
    if missing := unknown(names, rules):
        raise ValidationFailed(
            f"there is no secret {missing[0]}: correct the name, or have it provided to the server", field=field, value=missing[0]
        )


def asked(inputs: Inputs, at: str = "") -> str:
    """Names of the secrets that a task asks for, with spaces between them; `at` stands before the names of fields in messages.

    Raises ValidationFailed for what only begins like a reference.
    """
    names = set()
    for field in ASKING:
        text: str = getattr(inputs, field) or ""
        for found in REFERENCE.finditer(text) if "{{" in text else ():
            if found[1] is None:
                sent = text[found.start() : found.start() + 50]
                raise ValidationFailed(
                    f"`{at}{field}` has {sent!r}: write {{{{ secrets.NAME }}}}, a NAME of letters, digits and underscores; "
                    "with a $ before it, ${{ secrets.NAME }}, it stays as it is",
                    field=f"{at}{field}",
                )
            names.add(found[1])
    return " ".join(sorted(names))

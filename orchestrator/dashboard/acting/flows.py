"""What is done to workflows and their runs."""

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.dashboard.acting.act import Act, Done, calling
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.tasks import Reason
from worker_client.contract.workflows import Deploy, Execute
from worker_client.errors import ValidationFailed


async def _execute(visit: Visit, form: Form) -> Done:
    """Begin a run: a field for each of the defaults of the input, of the type that the default has, and JSON for the rest."""
    workflow_id = form.needed("workflow_id")
    workflow = await visit.ask(endpoints.get_workflow(workflow_id))
    # A box that is not checked is not sent: which fields there were is.
    given = {name: _given(form, f"input.{name}", workflow.input[name]) for name in form.all("field") if name in workflow.input}
    more = _json(form, "more", {})
    if not isinstance(more, dict):
        raise ValidationFailed('`more` is no JSON object: write it as {"name": value}', field="more")
    run = await visit.ask(endpoints.execute_workflow(workflow_id, Execute(input={**given, **more})))
    return Done(visit.texts("did.execute_workflow"), to=f"/runs/{run.id}", back=form.back)


def _given(form: Form, field: str, default: Any) -> Any:
    if isinstance(default, bool):
        return form.checked(field)
    if isinstance(default, str):
        return form.text(field) or ""
    if isinstance(default, int | float):
        amount = form.amount(field)
        whole = amount is not None and isinstance(default, int) and amount.is_integer()
        return int(amount) if amount is not None and whole else amount
    return _json(form, field, None)


def _json(form: Form, field: str, otherwise: Any) -> Any:
    text = form.text(field)
    try:
        return otherwise if text is None else json.loads(text)
    except ValueError as error:
        raise ValidationFailed(f"`{field}` is no JSON: {error}", field=field) from None


def _reason(form: Form) -> Reason:
    return Reason(reason=form.text("reason"))


ACTIONS: Final[Mapping[str, Act]] = {
    "execute_workflow": _execute,
    "deploy_workflow": calling("deploy_workflow", lambda form: endpoints.deploy_workflow(form.needed("workflow_id"), Deploy())),
    "undeploy_workflow": calling("undeploy_workflow", lambda form: endpoints.undeploy_workflow(form.needed("workflow_id"))),
    "stop_workflow": calling("stop_workflow", lambda form: endpoints.stop_workflow(form.needed("workflow_id"), _reason(form))),
    "delete_workflow": calling(
        "delete_workflow", lambda form: endpoints.delete_workflow(form.needed("workflow_id")), to="/workflows"
    ),
    "cancel_run": calling("cancel_run", lambda form: endpoints.cancel_run(form.number("run_id"), _reason(form))),
    "resume_run": calling("resume_run", lambda form: endpoints.resume_run(form.number("run_id"))),
}

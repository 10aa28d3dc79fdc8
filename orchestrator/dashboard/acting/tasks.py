"""What is done to tasks."""

from collections.abc import Mapping
from typing import Final

from orchestrator.dashboard.acting.act import Act, Done, on_task
from orchestrator.dashboard.drafts import drafted
from orchestrator.dashboard.form import Form
from orchestrator.dashboard.visit import Visit
from worker_client import endpoints
from worker_client.contract.tasks import Answer, Reason


async def _create(visit: Visit, form: Form) -> Done:
    """Create a task, and go to it unless another one is to follow."""
    task = await visit.ask(endpoints.create_task(drafted(form)))
    to = None if form.checked("another") else f"/tasks/{task.id}"
    return Done(visit.texts("did.create_task", id=str(task.id)), to=to, back=form.back)


ACTIONS: Final[Mapping[str, Act]] = {
    "create_task": _create,
    "cancel": on_task("cancel", lambda task_id, form: endpoints.cancel(task_id, Reason(reason=form.text("reason")))),
    "retry": on_task("retry", lambda task_id, _: endpoints.retry(task_id)),
    "execute": on_task("execute", lambda task_id, _: endpoints.execute(task_id)),
    "answer": on_task("answer", lambda task_id, form: endpoints.answer(task_id, Answer(answer=form.needed("answer")))),
    "approve": on_task("approve", lambda task_id, _: endpoints.approve(task_id)),
    "reject": on_task("reject", lambda task_id, form: endpoints.reject(task_id, Reason(reason=form.text("reason")))),
}

"""The server itself."""

from litestar import post

from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.scope import Asked, origin, principal, trace
from orchestrator.http.tasks import NoBody
from worker_client.contract.enums import Scope
from worker_client.contract.system import Reloaded


@post("/system/reload", opt=described(Reloaded, body=NoBody, body_optional=True, errors=(403,)), scope=Scope.ADMIN)
async def reload_settings(request: Asked) -> Answer:
    """Read the settings anew, from where they came at the start.

    All of them are in force at once; a file that does not fit is refused whole, and nothing has changed. SIGHUP does the same.
    Of several servers it concerns the one that answers.
    """
    await read(request, NoBody, optional=True)
    return answer(await request.app.state.reload(principal(request), trace(request), origin(request)))


HANDLERS = tagged((reload_settings,), "System")

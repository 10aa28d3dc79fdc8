"""Accounts behind agents, and the quota that they wait for."""

from litestar import get, put

from orchestrator.domain import operations as ops
from orchestrator.domain.moments import instant
from orchestrator.domain.outcomes import Lifted
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.intake import masked
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import parse
from orchestrator.http.scope import Asked, path_name, principal, submit
from orchestrator.queue.commit import Queue
from worker_client.contract.accounts import Account, ListAccounts, SetAccount
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page


@get("/accounts", opt=described(Page[Account], query=ListAccounts), scope=Scope.READ)
async def list_accounts(request: Asked) -> Answer:
    """List accounts that wait for their quota, or did lately, by name."""
    query = parse(request, ListAccounts)
    queue: Queue = request.app.state.queue
    return answer(part(await queue.reads.accounts(principal(request).paths, queue.now()), query))


@put("/accounts/{account:str}", opt=described(Account, body=SetAccount, errors=(404,)), scope=Scope.ADMIN)
async def set_account(request: Asked) -> Answer:
    """Have an account wait until a time, or with null let it be used again.

    Then the tasks that are parked for its quota come back, each to its place.
    """
    name = path_name(request, "account")
    body = await read(request, SetAccount)
    until = None if body.held_until is None else instant(body.held_until, "held_until")
    reason = masked(body.reason, request.app.state.redaction)
    after: int | None = 0
    while after is not None:
        done: Lifted = await submit(request, ops.SetAccount(account=name, held_until=until, reason=reason, after=after))
        after = done.last
    queue: Queue = request.app.state.queue
    return answer(await queue.reads.account(name, principal(request).paths, queue.now()))


HANDLERS = tagged((list_accounts, set_account), "Workers")

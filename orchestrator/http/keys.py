"""Keys and tokens: making, showing, limiting and ending them."""

import re
from datetime import datetime
from typing import Final

from litestar import delete, get, post, put
from msgspec import UNSET
from msgspec.structs import asdict

from orchestrator.domain import operations as ops
from orchestrator.domain.credential import Credential
from orchestrator.domain.moments import instant
from orchestrator.domain.outcomes import Keyed
from orchestrator.domain.paths import PathError
from orchestrator.domain.principal import PathScope, path_scope
from orchestrator.doors.doors import Doors
from orchestrator.doors.keyring import KEY_PREFIX, digest
from orchestrator.http.body import read
from orchestrator.http.envelope import NO_STORE, Answer, answer, empty
from orchestrator.http.guard import KNOWN
from orchestrator.http.openapi import described, tagged
from orchestrator.http.paging import part
from orchestrator.http.query import nothing, parse
from orchestrator.http.scope import Asked, caller, principal, submit
from orchestrator.queue.commit import Queue
from orchestrator.store.reads.doors import key_of
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import Page
from worker_client.contract.keys import CreatedKey, CreateKey, CreateToken, Identity, Key, ListKeys, Token, UpdateKey
from worker_client.errors import Conflict, NotFound, ValidationFailed

_ID: Final = re.compile(r"[0-9a-f]{12}")


@get("/auth/me", opt=described(Identity), scope=KNOWN)
async def who_am_i(request: Asked) -> Answer:
    """Say as whom who asks is known, and what they may do."""
    nothing(request)
    by = principal(request)
    where = _spelled(by.paths)
    paths = None if where is None else list(where)
    return answer(Identity(id=by.id, scopes=[scope for scope in Scope if scope in by.scopes], paths=paths))


@post("/auth/token", opt=described(Token, body=CreateToken, body_optional=True, status=201, errors=(409,)), scope=KNOWN)
async def create_token(request: Asked) -> Answer:
    """Make a short-lived token of the key that asks; it ends with the key."""
    body = await read(request, CreateToken, optional=True)
    doors: Doors = request.app.state.doors
    if doors.open:
        raise Conflict("this server is open to all of its machine and looks at no tokens: make a key first")
    where = principal(request).paths if body.paths is None else patterns(body.paths)
    return answer(doors.tokens.issue(caller(request), body, where), 201, NO_STORE)


@get("/auth/keys", opt=described(Page[Key], query=ListKeys), scope=Scope.ADMIN)
async def list_keys(request: Asked) -> Answer:
    """List keys, oldest first."""
    query = parse(request, ListKeys)
    queue: Queue = request.app.state.queue
    return answer(part(await queue.reads.keys(query, principal(request).paths), query))


@post("/auth/keys", opt=described(CreatedKey, body=CreateKey, status=201, errors=(409,)), scope=Scope.ADMIN)
async def create_key(request: Asked) -> Answer:
    """Make a key, and show it this once.

    With the first one the server is no longer open to everybody on its machine.
    """
    body = await read(request, CreateKey)
    doors: Doors = request.app.state.doors
    key_id, text = doors.minted(KEY_PREFIX)
    credential = Credential(
        id=key_id,
        name=body.name,
        digest=digest(text).hex(),
        scopes=tuple(scope for scope in Scope if scope in body.scopes),
        paths=None if body.paths is None else _spelled(patterns(body.paths)),
        secrets=tuple(dict.fromkeys(body.secrets)),
        rate=body.rate,
        expires_at=None if body.expires_at is None else instant(body.expires_at, "expires_at"),
    )
    keyed: Keyed = await submit(request, ops.IssueKey(credential=credential))
    await request.app.state.doorkeeper.once()
    return answer(CreatedKey(**asdict(key_of(keyed.credential)), key=text), 201, NO_STORE)


@put("/auth/keys/{key:str}", opt=described(Key, body=UpdateKey, errors=(409,)), scope=Scope.ADMIN)
async def update_key(request: Asked) -> Answer:
    """Rename, disable, limit or extend a key; what is left out stays.

    Scopes and paths are for good: make another key for others.
    """
    key_id = _path_key(request)
    body = await read(request, UpdateKey)
    op = ops.ChangeKey(
        id=key_id,
        name=body.name,
        disabled=body.disabled,
        secrets=UNSET if body.secrets is UNSET else tuple(dict.fromkeys(body.secrets)),
        rate=body.rate,
        expires_at=instant(body.expires_at, "expires_at") if isinstance(body.expires_at, datetime) else body.expires_at,
    )
    await submit(request, op)
    await request.app.state.doorkeeper.once()
    return answer(await _shown(request, key_id))


@delete("/auth/keys/{key:str}", opt=described(None, status=204), status_code=200, scope=Scope.ADMIN)
async def revoke_key(request: Asked) -> Answer:
    """End a key for good, with its sessions and tokens."""
    nothing(request)
    await submit(request, ops.RevokeKey(id=_path_key(request)))
    await request.app.state.doorkeeper.once()
    return empty()


async def _shown(request: Asked, key_id: str) -> Key:
    queue: Queue = request.app.state.queue
    key = await queue.reads.key(key_id, principal(request).paths)
    if key is None:
        raise _missing(key_id)
    return key


def _path_key(request: Asked) -> str:
    key_id: str = request.scope["path_params"]["key"]
    if _ID.fullmatch(key_id) is None:
        raise _missing(key_id)
    return key_id


def _missing(key_id: str) -> NotFound:
    return NotFound(f"there is no key {key_id[:100]}", id=key_id[:100])


def patterns(paths: list[str]) -> PathScope:
    """The directories that patterns name. Raises ValidationFailed."""
    for place, path in enumerate(paths):
        try:
            path_scope([path])
        except PathError as error:
            raise ValidationFailed(str(error), field=f"paths[{place}]") from None
    return path_scope(paths)


def _spelled(where: PathScope) -> tuple[str, ...] | None:
    return None if where.patterns is None else tuple(dict.fromkeys(map(str, where.patterns)))


HANDLERS = tagged((who_am_i, create_token, list_keys, create_key, update_key, revoke_key), "Keys")

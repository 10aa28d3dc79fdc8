"""From which addresses one may connect."""

from litestar import get, post

from orchestrator.domain import operations as ops
from orchestrator.domain.credential import Entry
from orchestrator.domain.moments import moment
from orchestrator.doors.addresses import Addresses
from orchestrator.http.body import read
from orchestrator.http.envelope import Answer, answer
from orchestrator.http.openapi import described, tagged
from orchestrator.http.query import nothing
from orchestrator.http.scope import Asked, origin, submit, unlimited
from orchestrator.networks import network
from orchestrator.settings import Server
from worker_client.contract.addresses import Address, AddressLists, ChangeAddress
from worker_client.contract.enums import AddressList, Scope
from worker_client.errors import Conflict, NotFound, ValidationFailed

_READ = described(AddressLists, errors=(403,)) | {"scope": Scope.ADMIN}
_CHANGE = described(AddressLists, body=ChangeAddress, errors=(403, 404, 409)) | {"scope": Scope.ADMIN}
_NAMES = {AddressList.ALLOW: "whitelist", AddressList.DENY: "blacklist"}


@get("/ip-control/status", opt=_READ)
async def read_address_lists(request: Asked) -> Answer:
    """Show both lists, those of the settings included, and the address that asks."""
    nothing(request)
    unlimited(request)
    return await _lists(request)


@post("/ip-control/whitelist/add", opt=_CHANGE)
async def allow_address(request: Asked) -> Answer:
    """Let an address or a network connect, and with it only those on this list.

    Refused when it locks out the address that asks, unless `force` is true.
    """
    return await _changed(request, AddressList.ALLOW, listed=True)


@post("/ip-control/whitelist/remove", opt=_CHANGE)
async def no_longer_allow_address(request: Asked) -> Answer:
    """Take an address or a network off the list of those that may connect; without any, all may."""
    return await _changed(request, AddressList.ALLOW, listed=False)


@post("/ip-control/blacklist/add", opt=_CHANGE)
async def deny_address(request: Asked) -> Answer:
    """Let an address or a network no longer connect, also when the other list has it."""
    return await _changed(request, AddressList.DENY, listed=True)


@post("/ip-control/blacklist/remove", opt=_CHANGE)
async def no_longer_deny_address(request: Asked) -> Answer:
    """Take an address or a network off the list of those that may not connect."""
    return await _changed(request, AddressList.DENY, listed=False)


async def _changed(request: Asked, which: AddressList, *, listed: bool) -> Answer:
    body = await read(request, ChangeAddress)
    unlimited(request)
    try:
        entry = Entry(list=which, network=str(network(body.ip.strip())), note=body.note)
    except ValueError as error:
        raise ValidationFailed(f"`ip`: {error}", field="ip") from None
    if not body.force:
        await _check_reach(request, entry, listed=listed)
    done = await submit(request, ops.SetAddress(entry=entry, listed=listed))
    if not done.count:
        raise _missing(request.app.state.settings.server, entry)
    await request.app.state.doorkeeper.once()
    return await _lists(request)


async def _check_reach(request: Asked, entry: Entry, *, listed: bool) -> None:
    """Raise Conflict when who asks could not ask again."""
    state, asking = request.app.state, origin(request)
    kept = [one for one in await state.queue.reads.addresses() if (one.list, one.network) != (entry.list, entry.network)]
    then = Addresses(state.settings.server.allow, state.settings.server.deny)
    then.replace([*kept, entry] if listed else kept)
    if (refused := then.refused(asking or None)) is not None:
        raise Conflict(
            f"this would lock you out: {refused.message} after it; send `force`: true to do it all the same, or ask elsewhere",
            field="force",
            your_ip=asking,
        )


def _missing(server: Server, entry: Entry) -> Conflict | NotFound:
    name = _NAMES[AddressList(entry.list)]
    if entry.network in {str(network(one)) for one in getattr(server, entry.list)}:
        return Conflict(f"{entry.network} is on the {name} by the setting server.{entry.list}: change that", ip=entry.network)
    return NotFound(f"{entry.network} is not on the {name}", ip=entry.network)


async def _lists(request: Asked) -> Answer:
    state = request.app.state
    server: Server = state.settings.server
    entries: list[Entry] = await state.queue.reads.addresses()
    found = {
        which: [
            *(Address(ip=str(network(one)), note="", created_at=None, created_by=None) for one in getattr(server, which)),
            *(_address(entry) for entry in entries if entry.list == which),
        ]
        for which in AddressList
    }
    allowed, denied = found[AddressList.ALLOW], found[AddressList.DENY]
    return answer(
        AddressLists(enabled=bool(allowed or denied), your_ip=origin(request), whitelist=allowed, blacklist=denied),
    )


def _address(entry: Entry) -> Address:
    return Address(ip=entry.network, note=entry.note, created_at=moment(entry.created_at), created_by=entry.created_by)


HANDLERS = tagged((read_address_lists, allow_address, no_longer_allow_address, deny_address, no_longer_deny_address), "Addresses")

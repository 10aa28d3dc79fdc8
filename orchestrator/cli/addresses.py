"""`orchestrator addresses`: from where one may connect."""

from typing import TYPE_CHECKING

import rich_click as click

from orchestrator.cli.options import Session
from orchestrator.cli.reaching import administering

if TYPE_CHECKING:
    from worker_client.contract.addresses import AddressLists


def canonical(text: str) -> str:
    """An address or network as the server writes it."""
    from orchestrator.networks import network

    try:
        return str(network(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


networks_argument = click.argument("networks", metavar="ADDRESS...", type=canonical, nargs=-1, required=True)
note_option = click.option("--note", default="", help="Is kept with it.")
force_option = click.option("--force", is_flag=True, help="Also when it locks out who asks.")


@click.group("addresses")
def addresses() -> None:
    """Say which addresses may connect to the server.

    ADDRESS is one, 192.0.2.7 or 2001:db8::1, or a network, 192.0.2.0/24. Nobody on the list `deny` may connect, and when the
    list `allow` has any, only those on it.
    """


@addresses.command("list")
@administering
def list_addresses(session: Session) -> None:
    """List them, those of the settings included."""
    _put(session, session.client.addresses())


@addresses.command()
@networks_argument
@note_option
@force_option
@administering
def allow(session: Session, networks: tuple[str, ...], *, note: str, force: bool) -> None:
    """Let these connect, and with them only those on this list."""
    _change(session, "allow", networks, note=note, force=force)


@addresses.command()
@networks_argument
@note_option
@force_option
@administering
def deny(session: Session, networks: tuple[str, ...], *, note: str, force: bool) -> None:
    """Let these no longer connect."""
    _change(session, "deny", networks, note=note, force=force)


@addresses.command()
@networks_argument
@force_option
@administering
def remove(session: Session, networks: tuple[str, ...], *, force: bool) -> None:
    """Take these off the list that they are on, or off both."""
    from worker_client.errors import NotFound

    force = force or _safe(session)
    for network in networks:
        lists = session.client.addresses()
        on = {"allow": lists.whitelist, "deny": lists.blacklist}
        named = [which for which, listed in on.items() if network in {canonical(one.ip) for one in listed}]
        if not named:
            raise NotFound(f"{network} is on no list; `orchestrator addresses list` shows what is")
        for which in named:
            lists = session.client.remove_address(which, ip=network, force=force)
    _put(session, lists)


def _change(session: Session, which: str, networks: tuple[str, ...], *, note: str, force: bool) -> None:
    force = force or _safe(session)
    for network in networks:
        lists = session.client.add_address(which, ip=network, note=note, force=force)
    _put(session, lists)


def _safe(session: Session) -> bool:
    """Whether who asks comes from no address, but by the database, and so cannot be locked out."""
    from orchestrator.networks import address

    return address(session.client.addresses().your_ip) is None


def _put(session: Session, lists: "AddressLists") -> None:
    from orchestrator.cli import doors

    session.put(lists, *doors.addresses(lists))

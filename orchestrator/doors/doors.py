"""The doors of a server: who is let in, and who has to go."""

from collections.abc import Callable, Iterable
from typing import Final

import structlog

from orchestrator.domain.credential import Credential, Entry
from orchestrator.domain.operations import Use
from orchestrator.domain.principal import OPEN, Principal, path_scope
from orchestrator.domain.task import Millis
from orchestrator.doors import trust
from orchestrator.doors.addresses import Addresses
from orchestrator.doors.held import Held
from orchestrator.doors.keyring import BOOTSTRAP, LOCAL, Caller, Keyring, Means, digest
from orchestrator.doors.rates import Rates
from orchestrator.doors.tokens import Tokens
from orchestrator.settings import Settings, SettingsError, is_loopback, without_password
from worker_client.contract.enums import Scope
from worker_client.errors import Unauthorized

log = structlog.get_logger()

EVERYBODY: Final = Caller(principal=OPEN, means=Means.NOTHING)
"""Who asks while the server is open."""
HOW: Final = "send the header Authorization: Bearer KEY; the server's own clients take the key from ORCHESTRATOR_API_KEY"


class Doors:
    """Knows keys, tokens, rates and addresses.

    `now` in ms; `chance` gives hex digits of so many random bytes. Raises SettingsError.
    """

    def __init__(self, settings: Settings, rates: Rates, now: Callable[[], Millis], chance: Callable[[int], str]) -> None:
        # Who shares a database needs a secret in common with the others, and has no file beside it to show a key in.
        alone = settings.database.path is not None
        self.now = now
        self.chance = chance
        self.local = chance(24) if alone else ""
        self.rates = rates
        self.addresses = Addresses()
        self.keyring = Keyring()
        self.tokens = Tokens(self.keyring, now, chance(32) if alone else None)
        self.held = Held(self.stands)
        self.open = False
        self._uses: dict[str, Use] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Go by these settings from now on; or raise SettingsError, and go on as before."""
        auth, server = settings.auth, settings.server
        public = trust.public_keys(auth)
        self.addresses.configure(server.allow, server.deny, server.trusted_proxies)
        self.settings = settings
        self.tokens.configure(auth, public)
        self.keyring.own({BOOTSTRAP: auth.bootstrap_key, LOCAL: self.local})
        self._settle()

    def load(self, credentials: Iterable[Credential], entries: Iterable[Entry]) -> None:
        """Take what the database has by now."""
        self.keyring.load(credentials)
        self.addresses.replace(entries)
        self.tokens.forget()
        self._settle()

    def look(self) -> None:
        """Say who may come in before anybody does. Raises SettingsError when nobody could from elsewhere."""
        server, database = self.settings.server, self.settings.database
        make = f"orchestrator keys create --name admin --scope admin --database {without_password(database.url)}"
        if self.open:
            why = "auth.mode is open" if self.anybody else "there are no keys"
            log.warning("everybody on this machine may do everything here", why=why, remedy=make)
        elif not self.anybody:
            if not is_loopback(server.host):
                raise SettingsError(
                    f"server.host = {server.host!r}: beyond its own machine the server answers only to those who have keys, and "
                    f"there are none. Make one, then start the server again:\n\n    {make}\n\n"
                    "or put one into APP_AUTH_BOOTSTRAP_KEY: `openssl rand -hex 32` makes such a key"
                )
            log.warning("nobody may ask here", why="there are no keys", remedy=make)

    @property
    def anybody(self) -> bool:
        """Whether there is anybody who could ever come in from elsewhere."""
        return self.settings.auth.knows_somebody or not self.keyring.empty

    def bearer(self, shown: bytes) -> Caller:
        """Who shows this key or token. Raises Unauthorized."""
        found, now = digest(shown), self.now()
        caller = self.keyring.find(found, now) or self.tokens.find(found, now)
        if caller is not None and caller.means is not Means.SESSION:
            return caller
        if shown.count(b".") == 2:
            return self.tokens.check(shown, found)
        raise Unauthorized(f"this server does not take the key that was sent ({self.keyring.problem(found, now)}): {HOW}")

    def session(self, shown: bytes) -> Caller:
        """Who is signed in with this cookie. Raises Unauthorized."""
        caller = self.keyring.find(digest(shown), self.now())
        if caller is None or caller.means is not Means.SESSION:
            raise Unauthorized("this session has ended: sign in again at /login")
        return caller

    def stands(self, caller: Caller) -> bool:
        """Whether somebody who was let in may still be here."""
        if caller.means is Means.NOTHING:
            return self.open
        now = self.now()
        if not caller.key:
            return caller.trust == self.tokens.trust and not caller.expired(now)
        key = self.keyring.named(caller.key, now)
        return key is not None and not caller.expired(now) and secrets_within(caller.principal, key.principal)

    def minted(self, prefix: str) -> tuple[str, str]:
        """The id of a new key or session, and the text that is shown to nobody but its owner."""
        made = self.chance(6)
        return made, f"{prefix}{made}_{self.chance(24)}"

    def lend(self, name: str, patterns: Iterable[str]) -> str:
        """A key for a worker of this server's own: to work in directories, for as long as the server runs.

        It is in no database, so that making it shuts no door that is open.
        """
        key = self.chance(24)
        scopes = frozenset({str(Scope.WORK), str(Scope.READ)})
        self.keyring.lend(key, Principal(id=name, scopes=scopes, paths=path_scope(patterns), secrets=None))
        return key

    def used(self, caller: Caller, origin: str) -> None:
        """A key was used, by itself or by a session or token that was made with it."""
        if caller.key:
            self._uses[caller.principal.id] = Use(caller.principal.id, self.now(), origin)

    def uses(self) -> tuple[Use, ...]:
        """The last uses since the last call, of the keys in the database."""
        uses, self._uses = self._uses, {}
        return tuple(use for use in uses.values() if self.keyring.stores(use.id))

    def _settle(self) -> None:
        auth, host = self.settings.auth, self.settings.server.host
        self.open = auth.mode == "open" or (auth.mode == "auto" and is_loopback(host) and not self.anybody)
        self.held.sift()


def secrets_within(one: Principal, other: Principal) -> bool:
    """Whether somebody may use no secret that the other may not."""
    return other.secrets is None or (one.secrets is not None and one.secrets <= other.secrets)

"""The commands of a server: those in force, renewed when files change, and changed through it alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from msgspec import UNSET, UnsetType

from orchestrator.commands.folder import Folder
from orchestrator.domain.command import Command, Commands
from orchestrator.domain.commands import LARGEST, NAME, command, written
from worker_client.contract.commands import CreateCommand, UpdateCommand
from worker_client.errors import Conflict, NotFound, PayloadTooLarge, ValidationFailed

T = TypeVar("T")

log = structlog.get_logger()


class Keeper:
    """Looks at the folder, one look or change at a time; `renewed` is told the commands whenever they are others."""

    def __init__(self, folder: Path, renewed: Callable[[Commands], None]) -> None:
        self._folder = Folder(folder)
        self._renewed = renewed
        self._one = asyncio.Lock()
        self._unusable: dict[str, str] = {}

    @property
    def commands(self) -> Commands:
        """Those of the last look."""
        return self._folder.commands

    async def move(self, root: Path) -> None:
        """Take the commands from this folder from now on, as it is now."""
        async with self._one:
            folder = self._folder if root == self._folder.root else Folder(root)
            await asyncio.to_thread(folder.look)
            self._folder = folder
            self._tell()

    async def look(self) -> None:
        """Have those in force be what the files say."""
        async with self._one:
            await self._look()

    def named(self, name: str) -> Command:
        """A command, also one that cannot be used. Raises NotFound."""
        found = self.commands.get(name)
        if found is None:
            raise NotFound(f"there is no command {name[:300]!r}", name=name[:300])
        return found

    async def create(self, sent: CreateCommand) -> Command:
        """Keep a new command. Raises ValidationFailed, PayloadTooLarge, Conflict."""
        return await self._write(command(sent), fresh=True)

    async def change(self, name: str, sent: UpdateCommand) -> Command:
        """Keep a command as it is changed; what is left out stays. Raises NotFound, and what `create` does."""
        await self.look()
        old = self._writable(name)
        made = CreateCommand(
            name=name,
            body=_or(sent.body, old.body),
            description=_or(sent.description, old.description),
            arguments=_or(sent.arguments, list(old.arguments)),
            settings=_or(sent.settings, old.settings),
        )
        return await self._write(command(made), fresh=False)

    async def delete(self, name: str) -> None:
        """Delete a command. Raises NotFound, Conflict."""
        await self.look()
        self._writable(name)
        async with self._one:
            try:
                await asyncio.to_thread(self._folder.drop, name)
            except FileNotFoundError:
                raise _gone(name) from None
            except OSError as error:
                raise _unwritable(name, error) from None
            await self._look()

    def _writable(self, name: str) -> Command:
        found = self.named(name)
        if not NAME.fullmatch(name):
            raise ValidationFailed(f"{name[:300]!r} is no name of a command: {found.problem}", field="name")
        return found

    async def _write(self, made: Command, *, fresh: bool) -> Command:
        text = written(made)
        if len(text.encode()) > LARGEST:
            raise PayloadTooLarge(f"the command has more than the {LARGEST:,} bytes that its file may have", limit=LARGEST)
        async with self._one:
            try:
                await asyncio.to_thread(self._folder.write, made.name, text, fresh=fresh)
            except FileExistsError:
                raise Conflict(
                    f"there is a command {made.name!r}: change it with PUT, or choose another name", name=made.name
                ) from None
            except FileNotFoundError:
                raise _gone(made.name) from None
            except OSError as error:
                raise _unwritable(made.name, error) from None
            await self._look()
        return self.named(made.name)

    async def _look(self) -> None:
        if await asyncio.to_thread(self._folder.look):
            self._tell()

    def _tell(self) -> None:
        self._renewed(self.commands)
        unusable = {name: one.problem for name, one in self.commands.items() if one.problem is not None}
        for name, problem in unusable.items() - self._unusable.items():
            log.warning("a command cannot be used", command=name, problem=problem)
        self._unusable = unusable


def _or(sent: T | UnsetType, old: T) -> T:
    return old if sent is UNSET else sent


def _gone(name: str) -> NotFound:
    return NotFound(f"there is no command {name!r}", name=name)


def _unwritable(name: str, error: OSError) -> Conflict:
    return Conflict(f"the command {name!r} cannot be written: {error.strerror or error}", name=name)

"""Keys of every kind, for tests of who may do what."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from orchestrator.doors.doors import Doors
from tests.http.conftest import Running

BOOTSTRAP: Final = "b" * 40


def bearer(key: str) -> dict[str, str]:
    """What a request with a key brings."""
    return {"authorization": f"Bearer {key}"}


class Keys:
    """Makes keys at a server that has a bootstrap key, or is still open."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.made: dict[str, str] = {}
        """Ids by name."""

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """`data` of an answer to the one who may everything."""
        answer = await self.server.client.request(method, path, headers=bearer(BOOTSTRAP), **request)
        assert answer.is_success, answer.text
        return answer.json()["data"] if answer.content else None

    async def make(self, name: str, /, *scopes: str, **facts: Any) -> str:
        """A new key."""
        made = await self.ask("POST", "/auth/keys", json={"name": name, "scopes": scopes or ("admin",), **facts})
        self.made[name] = made["id"]
        key: str = made["key"]
        return key

    async def revoke(self, name: str) -> None:
        """End a key."""
        await self.ask("DELETE", f"/auth/keys/{self.made[name]}")

    async def change(self, name: str, /, **facts: Any) -> Any:
        """Change a key."""
        return await self.ask("PUT", f"/auth/keys/{self.made[name]}", json=facts)

    async def expire(self, name: str) -> None:
        """Let the time of a key be over, whatever the clock says."""
        soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        await self.change(name, expires_at=soon)
        doors: Doors = self.server.app.state.doors
        later = doors.now() + 2 * 86_400_000
        doors.now = lambda: later

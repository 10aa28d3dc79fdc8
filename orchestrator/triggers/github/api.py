"""What a GitHub App may ask for, with the tokens that it gets for that.

Imported only by those who ask: its libraries are large.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from msgspec import Struct

from orchestrator.settings import GitHub
from worker_client.contract.fields import JsonObject

TIMEOUT_S: Final = 10.0
PAGE: Final = 100
_PAGES: Final = 30
"""Of 100 each: GitHub gives no more files of a pull request."""
_COMPARED_FILES: Final = 300
"""A comparison names no more."""
_EARLY_S: Final = 60
"""A token is used up to this long before its end, and begins this long ago: clocks differ."""
_LASTS_S: Final = 540
_LIMITED_S: Final = 60.0
_REPOSITORY: Final = re.compile(r"[\w.-]{1,100}/[\w.-]{1,100}", re.ASCII)
_REF: Final = re.compile(r"[\w./-]{1,250}")


class LaterError(Exception):
    """GitHub may tell later: in so many seconds, or (None) nobody knows when."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class NeverError(Exception):
    """GitHub does not tell this App."""


class Found(Struct, kw_only=True):
    """Files that changed, whether these are all of them, and the commits of a push as GitHub has them."""

    files: list[str]
    complete: bool
    commits: list[JsonObject] | None = None


class App:
    """A GitHub App, and what it knows by now; `now` in seconds since 1970. Raises NeverError for a key that cannot be read."""

    def __init__(self, settings: GitHub, client: httpx.AsyncClient, now: Callable[[], float]) -> None:
        self._id = str(settings.app_id)
        self._key = _pem(settings.app_private_key)
        self._url = settings.api_url.rstrip("/")
        self._client = client
        self._now = now
        self._skew_s = 0.0
        self._one = asyncio.Lock()
        self._tokens: dict[int, tuple[str, float]] = {}
        self._installations: dict[str, int] = {}

    async def asked(self, wants: Mapping[str, Any]) -> Found:
        """What an event wants to know. Raises LaterError, NeverError."""
        repository = str(wants["repository"])
        if not _REPOSITORY.fullmatch(repository):
            raise NeverError(f"{repository[:100]!r} is no repository")
        installation = wants["installation"]
        if not isinstance(installation, int):
            installation = await self._installation(repository)
        if wants["what"] == "files":
            return await self._files(installation, repository, int(wants["number"]))
        return await self._compared(installation, repository, str(wants["base"]), str(wants["head"]))

    async def _files(self, installation: int, repository: str, number: int) -> Found:
        files: list[str] = []
        for page in range(1, _PAGES + 1):
            part = await self._get(installation, f"/repos/{repository}/pulls/{number}/files", page)
            files += _paths(part)
            if len(part) < PAGE:
                return Found(files=list(dict.fromkeys(files)), complete=True)
        return Found(files=list(dict.fromkeys(files)), complete=False)

    async def _compared(self, installation: int, repository: str, base: str, head: str) -> Found:
        if not (_REF.fullmatch(base) and _REF.fullmatch(head)):
            raise NeverError("the push names no commits")
        files: list[str] = []
        commits: list[JsonObject] = []
        told = 0
        for page in range(1, _PAGES + 1):
            part = await self._get(installation, f"/repos/{repository}/compare/{base}...{head}", page)
            if page == 1:
                told = len(part.get("files") or ())
                files = _paths(part.get("files") or ())
            commits += [_commit(one) for one in part.get("commits") or ()]
            if len(part.get("commits") or ()) < PAGE or len(commits) >= int(part.get("total_commits") or 0):
                break
        return Found(files=list(dict.fromkeys(files)), complete=told < _COMPARED_FILES, commits=commits)

    async def _get(self, installation: int, path: str, page: int) -> Any:
        query = {"per_page": PAGE, "page": page}
        answer = await self._send("GET", path, f"token {await self._token(installation)}", query)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            # It was taken back before its time.
            self._tokens.pop(installation, None)
            answer = await self._send("GET", path, f"token {await self._token(installation)}", query)
        return self._told(answer)

    async def _token(self, installation: int) -> str:
        async with self._one:
            return await self._fresh(installation)

    async def _fresh(self, installation: int) -> str:
        token, ends = self._tokens.get(installation, ("", 0.0))
        if ends - _EARLY_S <= self._now() + self._skew_s:
            given = self._told(await self._as_app("POST", f"/app/installations/{installation}/access_tokens"))
            token, ends = given["token"], datetime.fromisoformat(given["expires_at"]).timestamp()
            self._tokens[installation] = (token, ends)
        return token

    async def _installation(self, repository: str) -> int:
        if repository not in self._installations:
            found = self._told(await self._as_app("GET", f"/repos/{repository}/installation"))
            self._installations[repository] = int(found["id"])
        return self._installations[repository]

    async def _as_app(self, method: str, path: str) -> httpx.Response:
        answer = await self._send(method, path, f"Bearer {self._signed()}")
        if answer.status_code == HTTPStatus.UNAUTHORIZED and self._corrected(answer):
            answer = await self._send(method, path, f"Bearer {self._signed()}")
        return answer

    def _signed(self) -> str:
        now = int(self._now() + self._skew_s)
        try:
            return jwt.encode({"iat": now - _EARLY_S, "exp": now + _LASTS_S, "iss": self._id}, self._key, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError):
            raise NeverError("the setting github.app_private_key is no private key of RSA in PEM") from None

    def _corrected(self, answer: httpx.Response) -> bool:
        """Whether it may have been our clock, which from now on is taken for as wrong as the answer says."""
        try:
            skew = parsedate_to_datetime(answer.headers["date"]).timestamp() - self._now()
        except (KeyError, ValueError, TypeError):
            return False
        wrong = abs(skew - self._skew_s) > _EARLY_S / 2
        self._skew_s = skew if wrong else self._skew_s
        return wrong

    async def _send(self, method: str, path: str, credentials: str, query: Mapping[str, Any] | None = None) -> httpx.Response:
        headers = {"authorization": credentials, "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
        try:
            return await self._client.request(method, self._url + path, headers=headers, params=query, timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            raise LaterError(f"GitHub cannot be reached: {type(error).__name__}") from None

    def _told(self, answer: httpx.Response) -> Any:
        """What an answer says. Raises LaterError, NeverError."""
        status = answer.status_code
        if answer.is_success:
            try:
                return answer.json()
            except ValueError:
                raise LaterError("GitHub's answer is no JSON") from None
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS} and (wait := self._wait(answer)) is not None:
            raise LaterError("GitHub's rate limit is used up", wait)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise LaterError(f"GitHub answers {status}")
        raise NeverError(f"GitHub answers {status}: {_SAID.get(status, 'see its documentation')}")

    def _wait(self, answer: httpx.Response) -> float | None:
        """For how long no more may be asked, when it is for that that an answer refuses."""
        after, reset = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
        if after.isdecimal():
            return float(after)
        if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
            return max(1.0, float(reset) - self._now() - self._skew_s)
        limited = answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in answer.text.lower()
        return _LIMITED_S if limited else None


_SAID: Final = {
    401: "the App's number and key do not belong together",
    403: "the App lacks a permission: give it read access to contents and pull requests",
    404: "the App is not installed for this repository, or what was asked for is gone",
    422: "it does not know these commits",
}


def _pem(given: str) -> str:
    """A key that stands in a setting, or in the file that it names."""
    if "-----BEGIN" in given:
        return given.replace("\\n", "\n")
    try:
        return Path(given).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise NeverError(
            f"the setting github.app_private_key is no key, and no file that can be read: {type(error).__name__}"
        ) from None


def _paths(part: Any) -> list[str]:
    return [path for one in part for path in (one.get("filename"), one.get("previous_filename")) if isinstance(path, str)]


def _commit(one: JsonObject) -> JsonObject:
    """A commit as a push has it."""
    commit, author = one.get("commit") or {}, one.get("author") or {}
    written = commit.get("author") or {}
    return {
        "id": one.get("sha"),
        "message": commit.get("message"),
        "timestamp": written.get("date"),
        "url": one.get("html_url"),
        "author": author.get("login") or written.get("name"),
        "email": written.get("email"),
    }

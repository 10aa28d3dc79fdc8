"""Connects to the very addresses that were looked at: a name that is resolved twice may be two addresses."""

import ssl
from typing import Any, Final

import httpx

from worker_client.runners.http.reach import Reach, Unresolved

PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
PROXIES: Final = ("http", "socks5", "socks5h")


class CheckedTransport(httpx.AsyncBaseTransport):
    """For one run. `proxy` is looked at like any other address that a task names, and so is what is asked for through it.

    A SOCKS proxy is given the address; an HTTP proxy the name, which it resolves by itself.
    """

    def __init__(self, reach: Reach, *, proxy: httpx.URL | None, context: ssl.SSLContext) -> None:
        self._reach = reach
        self._proxy = proxy
        self._context = context
        self._inner: httpx.AsyncHTTPTransport | None = None
        self._streams: list[Any] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; raises AddressRefused, and what httpx raises."""
        request.extensions = {**request.extensions, "trace": self._trace}
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"it leads to an address that begins with {request.url.scheme}://")
        try:
            inner = await self._connected()
            if self._proxy is not None and self._reach.everywhere:
                return await inner.handle_async_request(request)
            addresses = await self._reach.addresses(_host(request.url), _port(request.url))
        except Unresolved as error:
            raise httpx.ConnectError(str(error)) from error
        if self._proxy is not None and self._proxy.scheme == "http":
            return await inner.handle_async_request(request)
        for number, address in enumerate(addresses, 1):
            try:
                return await inner.handle_async_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise AssertionError("there is at least one address")  # pragma: no cover

    async def _connected(self) -> httpx.AsyncHTTPTransport:
        if self._inner is None:
            proxy = None
            if self._proxy is not None:
                addresses = await self._reach.addresses(_host(self._proxy), _port(self._proxy))
                proxy = httpx.Proxy(self._proxy.copy_with(host=addresses[0], port=_port(self._proxy)))
            self._inner = httpx.AsyncHTTPTransport(verify=self._context, proxy=proxy)
        return self._inner

    async def aclose(self) -> None:
        """Close the connections."""
        if self._inner is not None:
            await self._inner.aclose()
        for stream in self._streams:
            await stream.aclose()

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        """A connection to a SOCKS proxy that then refuses is nothing that httpx would close."""
        if name == "socks.connect_tcp.complete":
            self._streams.append(info["return_value"])


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port or PORTS[url.scheme]


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to this address; the name stays in the Host header, and is what the certificate has to be for."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": _host(request.url)},
    )

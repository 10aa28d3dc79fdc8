"""The yardstick: what Litestar itself can do with a request that carries JSON."""

from typing import Any

from litestar import Litestar, post
from litestar.params import JSONBody


@post("/echo", status_code=201)
async def echo(data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
    return data


app = Litestar([echo], openapi_config=None)

"""The OpenAPI document, from the routes and the contract's Structs: msgspec writes the schemas, so they are what is checked."""

from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import Struct

from orchestrator import __version__
from orchestrator.http.guard import PUBLIC, SCOPE
from orchestrator.http.meanings import PATH, TAGS, answered, example, explain, meaning_of
from orchestrator.http.visitors import COOKIE, PROBES
from worker_client.contract.enums import Scope
from worker_client.contract.envelope import ErrorBody
from worker_client.contract.fields import Id

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_KEY = "openapi"
_REF = "#/components/schemas/{name}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
Schema = dict[str, Any]
_SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of POST /api/v1/auth/token"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Of a browser that signed in at /login"},
}


class Described(Struct, frozen=True, kw_only=True):
    """What a route takes and gives.

    `answer` None has no JSON; `bare`: without the envelope; `errors`: refusals beside those that every route has; `media`: other
    forms of the answer.
    """

    answer: Any
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    body_optional: bool = False
    status: int = 200
    also: tuple[int, ...] = ()
    bare: bool = False
    errors: tuple[int, ...] = ()
    media: tuple[str, ...] = ()

    @property
    def types(self) -> Iterator[Any]:
        """All types whose schemas the document needs."""
        yield from (one for one in (self.query, self.body, self.answer) if one is not None)


def described(answer: Any, **facts: Any) -> dict[str, Any]:
    """For a handler's `opt`: `@get("/tasks", opt=described(Page[Task], query=ListTasks))`; the facts of `Described`."""
    return {_KEY: Described(answer=answer, **facts)}


def document(app: Litestar) -> Schema:
    """The OpenAPI 3.1 document of all described routes."""
    routes = [(route, handler, handler.opt[_KEY]) for route, handler in _handlers(app)]
    types = [kind for _, _, described in routes for kind in described.types]
    _, schemas = msgspec.json.schema_components([*types, ErrorBody], ref_template=_REF)
    schemas["Refusal"] = _envelope({"type": "null"}, _schema(ErrorBody), success=False)
    schemas["Refusal"]["description"] = "What every refusal is answered with."
    explain(schemas)
    paths: dict[str, Schema] = {}
    # Always in the same order: handlers come out of sets.
    calls = [(route, handler, facts, method) for route, handler, facts in routes for method in handler.http_methods]
    for route, handler, facts, method in sorted(calls, key=lambda call: (call[0].path_format, _METHODS.index(call[3]))):
        paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, handler, method, facts, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Task orchestrator",
            "version": __version__,
            "description": "A durable queue per work directory that coding agents and plain workers pull from.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SCHEMES},
    }


def _handlers(app: Litestar) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            yield from ((route, handler) for handler in route.route_handlers if _KEY in handler.opt)


def _operation(
    route: HTTPRoute, handler: HTTPRouteHandler, method: str, facts: Described, schemas: Mapping[str, Schema]
) -> Schema:
    summary, _, more = cleandoc(handler.fn.__doc__ or "").partition("\n\n")
    operation: Schema = {
        "operationId": handler.fn.__name__ + (f"_{method.lower()}" if len(handler.http_methods) > 1 else ""),
        "summary": summary.removesuffix("."),
        "description": f"{more}\n\n{needed(handler)}".strip(),
        "tags": sorted(handler.resolve_tags()),
        "parameters": [*_path_parameters(route), *_query_parameters(facts.query, schemas)],
        "responses": _responses(route, handler, facts),
        "security": _security(handler),
    }
    if facts.body is not None:
        body = {"schema": _schema(facts.body), "example": example(facts.body.__name__)}
        operation["requestBody"] = {"required": not facts.body_optional, "content": {JSON: body}}
    return operation


def needed(handler: HTTPRouteHandler) -> str:
    """The scope that a key needs for a call, in words."""
    if handler.opt.get(PUBLIC):
        return "Needs no key."
    scope = handler.opt[SCOPE]
    return f"Needs the scope `{scope}`." if isinstance(scope, Scope) else "Needs any key."


def _security(handler: HTTPRouteHandler) -> list[Schema]:
    """How one may be known, and the scope that one needs then."""
    if handler.opt.get(PUBLIC):
        return [{}]
    needed = handler.opt[SCOPE]
    return [{name: [str(needed)] if isinstance(needed, Scope) else []} for name in _SCHEMES]


def _schema(kind: Any) -> Schema:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def _path_parameters(route: HTTPRoute) -> Iterator[Schema]:
    for name in route.path_parameters:
        schema = _schema(Id) if name.endswith("_id") else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema, "description": meaning_of(PATH, name)}


def _query_parameters(query: type[Struct] | None, schemas: Mapping[str, Schema]) -> Iterator[Schema]:
    if query is None:
        return
    struct = schemas[query.__name__]
    for name, schema in struct["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in struct.get("required", ()), "schema": _given(schema)}
        if "description" in schema:
            parameter["description"] = schema["description"]
        yield parameter


def _given(schema: Schema) -> Schema:
    """The schema of a parameter when it is there: a query string has no null."""
    if "anyOf" not in schema:
        return schema
    (only,) = [one for one in schema["anyOf"] if one.get("type") != "null"]
    return dict(only)


def _responses(route: HTTPRoute, handler: HTTPRouteHandler, facts: Described) -> Schema:
    responses: Schema = {}
    for status in (facts.status, *facts.also):
        responses[str(status)] = _response(status, _success(facts))
    refusals = {400, *facts.errors, *([404] if route.path_parameters else []), *([413] if facts.body else [])}
    if route.path_format not in PROBES:
        refusals.add(403)
    if not handler.opt.get(PUBLIC):
        refusals |= {401, 429}
    if not facts.bare:
        refusals |= {500, 503}
    for status in sorted(refusals - {facts.status, *facts.also}):
        responses[str(status)] = _response(status, {JSON: {"schema": {"$ref": _REF.format(name="Refusal")}}})
    return responses


def _success(facts: Described) -> Schema | None:
    content: Schema = {media: {"schema": {"type": "string"}} for media in facts.media}
    if facts.answer is not None:
        schema = _schema(facts.answer)
        content[JSON] = {"schema": schema if facts.bare else _envelope(schema, {"type": "null"}, success=True)}
    return content or None


def _envelope(data: Schema, error: Schema, *, success: bool) -> Schema:
    frame = {"success": {"const": success}, "data": data, "error": error, "timestamp": {"type": "string", "format": "date-time"}}
    return {"type": "object", "properties": frame, "required": list(frame)}


def _response(status: int, content: Schema | None) -> Schema:
    described = {"description": answered(status)}
    return described if content is None else {**described, "content": content}


def tagged(handlers: Iterable[HTTPRouteHandler], name: str) -> list[HTTPRouteHandler]:
    """The handlers, each under one heading of the document."""
    found = list(handlers)
    for handler in found:
        handler.tags = [name]
    return found

"""Writes docs/reference/api.md and the pages below it from the OpenAPI document: `python -m docs`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs.reference.objects import Objects
from docs.writing import paragraphs, table
from orchestrator.app import compose
from orchestrator.http.meanings import TAGS
from orchestrator.http.openapi import JSON, document
from orchestrator.settings import Settings
from worker_client.errors import ERRORS

WRITTEN: Final = "<!-- Written by docs/reference/api.py from the OpenAPI document; a test compares them. -->"
HOMES: Final = {"Attempt": "attempts", "Event": "events"}
"""Objects that are not explained where they are named first."""
LONGEST: Final = 380
"""Lines that a page may have; of a longer one the objects get a page of their own."""
INTRODUCTION: Final = f"""\
# The HTTP API

{WRITTEN}

`orchestrator openapi` prints all of this as an OpenAPI 3.1 document, from which clients in other languages are made; a server has
it at `/schema/openapi.json`, and at `/schema` a page on which each call can be tried.

## Requests and answers

JSON goes in and comes out; fields that are not known are refused. Every answer with JSON has the same frame:

<!-- output -->
```json
{{"success": true, "data": {{}}, "error": null, "timestamp": "2030-01-31T18:00:00Z"}}
```

The pages below describe `data`. On refusals `data` is null, and [`error`](errors.md) has `code`, `message` and `details`. Only
`/health` and what is no JSON answer without the frame. Times are RFC 3339 with an offset, durations are in seconds.

Who asks shows a key: `Authorization: Bearer KEY`, or a token. A server on this machine alone that has no keys asks for none. What
a key may do depends on its [scopes](../scopes.md) and directories: [who may do what](../security.md).

## Lists

A list is answered as a page: `items`, `total` (counted up to 10,000; past that `total_exact` is false), `limit`, `offset` and
`next_cursor`. Ask with `cursor` for the page that comes after, or with `offset` for one at a place; `limit` is 1 to 1000.

Parameters that are lists are repeated: `status=waiting&status=running`.

## Once and no more

Calls that change something may be sent again when their answer was lost: `POST /tasks` with a `key`, claims with a `poll_id`,
reports with their `lease`, `PUT` with a `version`. 429 and 503 come with `Retry-After`: nothing was done, send the same again
after so many seconds.

## Calls

"""


def pages() -> Mapping[str, str]:
    """Each page by its place below docs/reference."""
    described = document(compose(Settings()))
    schemas: Mapping[str, Any] = described["components"]["schemas"]
    calls: dict[str, list[tuple[str, str, Any]]] = {tag: [] for tag in TAGS}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            calls[operation["tags"][0]].append((method.upper(), path, operation))
    objects = Objects(schemas, HOMES)
    for tag, found in calls.items():
        for _, _, operation in found:
            objects.claim(_of(tag), _bodies(operation))
    written = {tag: [line for call in found for line in _call(tag, *call, objects)] for tag, found in calls.items()}
    for tag, lines in written.items():
        if len(lines) + len(objects.lines(_of(tag))) > LONGEST:
            objects.move(_of(tag))
    # Once more, as links know only now on which page an object stands.
    pages = {"api.md": INTRODUCTION + "\n".join(_index(calls))}
    for tag, found in calls.items():
        lines = [f"# {tag}: the API", "", WRITTEN, "", TAGS[tag], ""]
        lines += [line for call in found for line in _call(tag, *call, objects)]
        own = objects.lines(_of(tag))
        if own and objects.moved(_of(tag)):
            pages[f"api/{_of(tag)}-objects.md"] = "\n".join([f"# {tag}: objects of the API", "", WRITTEN, "", *own])
        else:
            lines += own
        pages[f"api/{_of(tag)}.md"] = "\n".join(lines)
    return pages


def _of(tag: str) -> str:
    return tag.lower()


def _index(calls: Mapping[str, list[tuple[str, str, Any]]]) -> Iterator[str]:
    for tag, found in calls.items():
        yield from (f"### {tag}", "", TAGS[tag], "")
        rows = (
            (f"[`{method} {path}`](api/{_of(tag)}.md#{operation['operationId']})", operation["summary"])
            for method, path, operation in found
        )
        yield from (*table(("call", "does"), rows), "")


def _bodies(operation: Any) -> Iterator[Any]:
    """The schemas of all that a call takes and answers with, but for its parameters."""
    if body := operation.get("requestBody"):
        yield body["content"][JSON]["schema"]
    for _, answer in _answers(operation):
        if answer is not None:
            yield answer


def _answers(operation: Any) -> Iterator[tuple[str, Any]]:
    """Statuses of success, with the schema of what is in the frame, if there is any."""
    for status, response in operation["responses"].items():
        if status < "300":
            schema = response.get("content", {}).get(JSON, {}).get("schema")
            yield status, schema.get("properties", {}).get("data", schema) if schema else None


def _call(tag: str, method: str, path: str, operation: Any, objects: Objects) -> list[str]:
    """One call: what it does, what it takes, what it answers."""
    page = _of(tag)
    lines = [f"## {operation['operationId']}", "", f"`{method} {path}`", "", f"{operation['summary']}.", ""]
    *told, needed = paragraphs(operation["description"])
    lines += [line for part in told for line in (part, "")]
    if parameters := operation["parameters"]:
        rows = (
            objects.field(page, one["name"], one["schema"], one["required"], one.get("description", "")) for one in parameters
        )
        lines += [*table(("parameter", "type", "default", "means"), rows), ""]
    if body := operation.get("requestBody"):
        given = body["content"][JSON]
        needed = "" if body["required"] else ", which may be left out"
        lines += [f"Body{needed}: {objects.typed(page, given['schema'])}", ""]
        if given["example"]:
            example = json.dumps(given["example"], ensure_ascii=False)
            lines += ["<!-- tested: tests/http/test_examples.py -->", "```json", example, "```", ""]
    answers = [
        f"{status} {_answered(page, operation['responses'][status], schema, objects)}".strip()
        for status, schema in _answers(operation)
    ]
    refusals = [code for code, kind in ERRORS.items() if str(kind.status) in operation["responses"] and _names(operation, code)]
    said = f"Answers {'; '.join(answers)}."
    return [*lines, f"{needed} {said} Refuses with {', '.join(f'`{code}`' for code in refusals)}.", ""]


def _answered(page: str, response: Any, schema: Any, objects: Objects) -> str:
    other = [f"`{media}`" for media in response.get("content", {}) if media != JSON]
    kinds = ([objects.typed(page, schema)] if schema is not None else []) + other
    return f"with {' or '.join(kinds)}" if kinds else "with no body"


def _names(operation: Any, code: str) -> bool:
    """Whether a refusal of a call is of this code, since two codes share a status."""
    kind = ERRORS[code]
    return f"`{code}`" in operation["responses"][str(kind.status)]["description"]

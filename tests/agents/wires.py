"""The four ways in which agents ask models, each as a stream of server-sent events."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from typing import Any, Final

from tests.agents.turns import (
    CACHED_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Limited,
    Refused,
    Say,
    Shell,
    Silent,
    Stalled,
    Turn,
    Use,
)

Json = dict[str, Any]
Refusal = tuple[int, dict[str, str], Json]
LEASE: Final = re.compile(r"\d+\.\d+\.[0-9a-f]{16}")
SHELLS: Final = ("Bash", "bash", "run_shell_command", "exec_command", "shell_command", "shell")
_numbers = itertools.count(1)


def _named(prefix: str) -> str:
    return f"{prefix}_{next(_numbers):06}"


def _shell_of(tools: list[Json]) -> Json:
    """The agent's tool for commands, whatever it calls it."""
    flat = [tool.get("function", tool) for entry in tools for tool in entry.get("functionDeclarations", [entry])]
    (found,) = [tool for name in SHELLS for tool in flat if tool.get("name") == name][:1]
    return dict(found)


def _call(turn: Shell | Use, body: Json) -> tuple[str, Json]:
    if isinstance(turn, Use):
        leases = LEASE.findall(json.dumps(body))
        arguments = {field: value.format(lease=leases[-1] if leases else "") for field, value in turn.arguments.items()}
        return (f"mcp__{turn.server}__{turn.tool}" if turn.server else turn.tool), arguments
    tool = _shell_of(body.get("tools", []))
    schema = tool.get("input_schema") or tool.get("parameters") or tool.get("parametersJsonSchema") or {}
    properties = schema.get("properties", {})
    if "cmd" in properties:
        return tool["name"], {"cmd": turn.command}
    listed = properties.get("command", {}).get("type") == "array"
    command = ["sh", "-c", turn.command] if listed else turn.command
    described = {"description": "Runs a command"} if "description" in properties else {}
    return tool["name"], {"command": command, **described}


class Anthropic:
    """POST /v1/messages."""

    path = "/v1/messages"

    def events(self, turn: Turn, body: Json) -> Iterator[tuple[str, Json]]:
        usage = {"input_tokens": INPUT_TOKENS, "cache_read_input_tokens": CACHED_TOKENS, "cache_creation_input_tokens": 0}
        head = {"id": _named("msg"), "type": "message", "role": "assistant", "model": body.get("model", ""), "content": []}
        stops = {"stop_reason": None, "stop_sequence": None}
        yield "message_start", {"message": {**head, **stops, "usage": {**usage, "output_tokens": 1}}}
        reason = "end_turn"
        if isinstance(turn, Shell | Use):
            name, arguments = _call(turn, body)
            block = {"type": "tool_use", "id": _named("toolu"), "name": name, "input": {}}
            yield "content_block_start", {"index": 0, "content_block": block}
            delta: Json = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
            reason = "tool_use"
        else:
            yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
            delta = {"type": "text_delta", "text": getattr(turn, "text", "")}
        yield "content_block_delta", {"index": 0, "delta": delta}
        if isinstance(turn, Stalled):
            return
        yield "content_block_stop", {"index": 0}
        yield (
            "message_delta",
            {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": OUTPUT_TOKENS}},
        )
        yield "message_stop", {}

    def refusal(self, turn: Limited | Refused) -> Refusal:
        if isinstance(turn, Refused):
            return 401, {}, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
        headers = {"x-should-retry": "false", "retry-after": str(max(1, turn.resets_at - int(time.time())))}
        if turn.subscription:
            headers |= {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": str(turn.resets_at),
                "anthropic-ratelimit-unified-representative-claim": "five_hour",
            }
        message = "This request would exceed your account's rate limit. Please try again later."
        return 429, headers, {"type": "error", "error": {"type": "rate_limit_error", "message": message}}


class Responses:
    """POST /v1/responses."""

    path = "/v1/responses"

    def events(self, turn: Turn, body: Json) -> Iterator[tuple[str, Json]]:
        response = {"id": _named("resp"), "object": "response", "model": body.get("model", ""), "output": []}
        yield "response.created", {"response": {**response, "status": "in_progress"}}
        if isinstance(turn, Shell | Use):
            name, arguments = _call(turn, body)
            item: Json = {"type": "function_call", "id": _named("fc"), "call_id": _named("call"), "name": name}
            item["arguments"] = json.dumps(arguments)
            if isinstance(turn, Use) and turn.server:
                # The tools of each server stand in a space of their own there.
                item |= {"name": turn.tool, "namespace": f"mcp__{turn.server}"}
        else:
            text = getattr(turn, "text", "")
            item = {"type": "message", "role": "assistant", "id": _named("msg"), "content": []}
            yield "response.output_item.added", {"output_index": 0, "item": item}
            yield "response.output_text.delta", {"item_id": item["id"], "output_index": 0, "content_index": 0, "delta": text}
            if isinstance(turn, Stalled):
                return
            item = {**item, "content": [{"type": "output_text", "text": text, "annotations": []}]}
        yield "response.output_item.done", {"output_index": 0, "item": item}
        usage = {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        yield "response.completed", {"response": {**response, "status": "completed", "output": [item], "usage": usage}}

    def refusal(self, turn: Limited | Refused) -> Refusal:
        if isinstance(turn, Refused):
            error = {
                "message": "Incorrect API key provided: scripted-key.",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
            return 401, {}, {"error": error}
        if turn.subscription:
            error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
            return 429, {}, {"error": {**error, "resets_at": turn.resets_at}}
        return _out_of_requests(turn)


class Chat:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"

    def events(self, turn: Turn, body: Json) -> Iterator[tuple[str, Json]]:
        head = {"id": _named("chatcmpl"), "object": "chat.completion.chunk", "created": 1, "model": body.get("model", "")}
        reason = "stop"
        if isinstance(turn, Shell | Use):
            name, arguments = _call(turn, body)
            function = {"name": name, "arguments": json.dumps(arguments)}
            delta: Json = {"tool_calls": [{"index": 0, "id": _named("call"), "type": "function", "function": function}]}
            reason = "tool_calls"
        else:
            delta = {"content": getattr(turn, "text", "")}
        yield "", {**head, "choices": [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}]}
        if isinstance(turn, Stalled):
            return
        yield "", {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        usage = {
            "prompt_tokens": INPUT_TOKENS,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        yield "", {**head, "choices": [], "usage": usage}

    def refusal(self, turn: Limited | Refused) -> Refusal:
        return Responses().refusal(turn) if isinstance(turn, Refused) else _out_of_requests(turn)


class Gemini:
    """POST /v1beta/models/{model}:streamGenerateContent."""

    path = "/v1beta/models/"

    def events(self, turn: Turn, body: Json) -> Iterator[tuple[str, Json]]:
        usage = {
            "promptTokenCount": INPUT_TOKENS,
            "cachedContentTokenCount": CACHED_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        part: Json = {"text": getattr(turn, "text", "")}
        if isinstance(turn, Shell | Use):
            name, arguments = _call(turn, body)
            part = {"functionCall": {"name": name, "args": arguments}}
        candidate: Json = {"index": 0, "content": {"role": "model", "parts": [part]}}
        if not isinstance(turn, Stalled):
            candidate["finishReason"] = "STOP"
        yield "", {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted-model"}

    def refusal(self, turn: Limited | Refused) -> Refusal:
        if isinstance(turn, Refused):
            message = "API key not valid. Please pass a valid API key."
            return 401, {}, {"error": {"code": 401, "message": message, "status": "UNAUTHENTICATED"}}
        seconds = max(1, turn.resets_at - int(time.time()))
        kind = "type.googleapis.com/google.rpc."
        violation = {"quotaMetric": "generate_requests", "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
        details = [
            {"@type": f"{kind}QuotaFailure", "violations": [violation]},
            {"@type": f"{kind}RetryInfo", "retryDelay": f"{seconds}s"},
        ]
        message = f"You exceeded your current quota. Please retry in {seconds}s."
        return 429, {}, {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}


def _out_of_requests(turn: Limited) -> Refusal:
    seconds = max(1, turn.resets_at - int(time.time()))
    message = f"Rate limit reached for scripted-model. Please try again in {seconds}s."
    error = {"message": message, "type": "requests", "code": "rate_limit_exceeded"}
    return 429, {"retry-after": str(seconds)}, {"error": error}


WIRES: Final = (Anthropic(), Responses(), Chat(), Gemini())
__all__ = ["WIRES", "Json", "Limited", "Refused", "Say", "Shell", "Silent", "Stalled", "Turn", "Use"]

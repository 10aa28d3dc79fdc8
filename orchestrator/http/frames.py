"""WebSocket as its bytes: the only module that loads the library `websockets`; imported when the first one comes."""

from collections.abc import Iterable
from typing import Final

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SERVER, Protocol, State
from websockets.server import ServerProtocol

from orchestrator.http.envelope import Header
from worker_client.errors import ValidationFailed

_SWITCHED: Final = 101
_SLICE: Final = 4096


def shake(path: str, headers: Iterable[Header], more: Iterable[Header]) -> bytes:
    """The answer to a handshake, with more headers. Raises ValidationFailed when it is none."""
    sent = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    # Nothing is packed, so that nothing can swell.
    handshake = ServerProtocol()
    response = handshake.accept(Request(path, sent))
    if response.status_code != _SWITCHED:
        why = handshake.handshake_exc
        raise ValidationFailed(f"this is no handshake of a WebSocket ({why}): open this address with a WebSocket", field="")
    for name, value in more:
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response.serialize()


class Socket:
    """One open WebSocket, sans I/O. `most`: bytes of a message."""

    def __init__(self, most: int) -> None:
        self._protocol = Protocol(SERVER, state=State.OPEN, max_size=most)
        self._parts: list[bytes] = []
        self._opcode = Opcode.TEXT

    def hear(self, data: bytes, budget: int) -> tuple[list[bytes | None], int]:
        """Messages in what the client sent, None for what is no text; and how many frames of the budget are left.

        What comes behind the last one is not even looked at.
        """
        messages: list[bytes | None] = []
        for start in range(0, len(data), _SLICE):
            if budget <= 0:
                break
            self._protocol.receive_data(data[start : start + _SLICE])
            for frame in self._protocol.events_received():
                budget -= 1
                if isinstance(frame, Frame):
                    self._hear(frame, messages)
        return messages, budget

    def _hear(self, frame: Frame, messages: list[bytes | None]) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        self._parts.append(bytes(frame.data))
        if frame.fin:
            messages.append(b"".join(self._parts) if self._opcode is Opcode.TEXT else None)
            self._parts.clear()

    def unsent(self) -> bytes:
        """What is to be written by now."""
        return b"".join(self._protocol.data_to_send())

    def text(self, message: bytes) -> bytes:
        """A message as bytes; none when the WebSocket is closing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(message)
        return self.unsent()

    def ping(self) -> bytes:
        """A ping as bytes."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
        return self.unsent()

    def close(self, code: int, reason: str) -> bytes:
        """The beginning of the end as bytes."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
        return self.unsent()

    @property
    def over(self) -> bool:
        """Whether the client has said that it is over, or broke the rules."""
        return self._protocol.close_rcvd is not None or self._protocol.parser_exc is not None

"""How a listening socket is given up without cutting off anybody who has connected to it."""

import ctypes
import socket
import struct
import sys
from contextlib import suppress
from typing import Final

_SO_ATTACH_FILTER: Final = 26
"""Linux' asm-generic/socket.h."""
_FLAGS_AT: Final = 13
_SYN: Final = 0x02
_DROP_SYN: Final = (
    (0x30, 0, 0, _FLAGS_AT),  # load the byte of the TCP header that has the flags
    (0x45, 0, 1, _SYN),  # is it one that opens a connection?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it whole
)
"""A filter as the kernel runs it on what comes to a socket: code, jumps if true and if false, operand."""


def admit_no_more(listening: socket.socket) -> None:
    """Let new connections wait outside, while those that the kernel has made already can still be accepted.

    Closing alone resets what was made since the last accept: a proxy that has sent a request there cannot tell whether it was
    carried out. One that waits outside tries again within a second, and is refused before it has sent anything. Where the kernel
    knows no such filters, nothing is done.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program)))

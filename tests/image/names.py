"""Answers, as the resolver of an engine does, which address a service has: 127.0.0.1, if there is such a service."""

import socket
import struct
import sys


def answer(question: bytes, names: list[str]) -> bytes:
    """To a question of one name: an A record, or that there is none."""
    at, labels = 12, []
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size].decode())
        at += size + 1
    (kind,) = struct.unpack("!H", question[at + 1 : at + 3])
    known = ".".join(labels) in names
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton("127.0.0.1") if known and kind == 1 else b""
    # Flags: an answer, recursion available; 3 is "no such name".
    head = question[:2] + struct.pack("!HHHHH", 0x8180 | (0 if known else 3), 1, bool(record), 0, 0)
    return head + question[12 : at + 5] + record


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 53))
        print("up", flush=True)  # noqa: T201 - whoever started it waits for this
        while True:
            asked, whom = listening.recvfrom(512)
            listening.sendto(answer(asked, sys.argv[1:]), whom)

"""Python's parser of mails, kept from what somebody made to take hours or gigabytes."""

import re
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from email.policy import Compat32
from typing import Final

LONGEST_HEADER: Final = 20_000
"""Characters of one header; the rest of it is left out."""
_MOST_PARTS: Final = 20_000
"""Lines that may begin a part, which takes far more memory than its line."""
_MOST_LINES: Final = 1_000_000
"""Each of a header takes more memory, too."""
_MOST_COMPARED: Final = 20_000_000
"""Lines times boundaries, for inside of nested parts each line is compared with the boundary of each."""
_BOUNDARY: Final = re.compile(rb"boundary", re.IGNORECASE)


class _Policy(Compat32):
    """Headers are parsed in a time that grows with the square of their length."""

    def header_source_parse(self, sourcelines: Sequence[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(list(sourcelines))
        return name, value[:LONGEST_HEADER]


_POLICY: Final = _Policy()


def parsed(raw: bytes) -> Message | None:
    """A mail, or its header alone; None when it would take too long."""
    lines, boundaries = raw.count(b"\n"), len(_BOUNDARY.findall(raw))
    if lines > _MOST_LINES or lines * boundaries > _MOST_COMPARED or raw.count(b"\n--") > _MOST_PARTS:
        return None
    return message_from_bytes(raw, policy=_POLICY)

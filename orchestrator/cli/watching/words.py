"""Texts of strangers on a terminal: one line, that neither moves the cursor nor turns what follows around."""

import re
from typing import Final

from rich.text import Text

_ANSI: Final = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]")
_MOST: Final = 2_000


def plain(text: str) -> str:
    """A text without colours and line ends; what cannot be seen is U+FFFD."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", " ".join(_ANSI.sub("", text[:_MOST]).split()))


def flat(line: Text) -> Text:
    """A line as it may be drawn, with its styles."""
    if _UNSEEN.search(line.plain):
        line = line.copy()
        line.plain = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", line.plain.replace("\n", " ").replace("\t", " "))
    return line

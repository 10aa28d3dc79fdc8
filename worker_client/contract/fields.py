"""Field types that several bodies share: bounds are stated once."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Ids = Annotated[list[Id], Meta(max_length=1000)]
Json = Any
JsonObject = dict[str, Any]
Seconds = Annotated[float, Meta(ge=0, le=315_360_000)]
"""A duration; ten years at the most."""
WaitSeconds = Annotated[float, Meta(ge=0, le=50)]
"""How long the server may hold a call; 50 s because MCP clients give up after 60."""
LeaseSeconds = Annotated[float, Meta(ge=1, le=86_400)]
TimeoutSeconds = Annotated[float, Meta(ge=1, le=31_536_000)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Path = Annotated[str, Meta(min_length=1, max_length=8192)]
"""Checked and made canonical by the server; 1024 bytes at the most once it is."""
Several: Final = Meta(max_length=100)
"""Of a list that a filter has: each more costs the database more than the last."""
Paths = Annotated[list[Path], Several]
Kind = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_.-]{0,63}$(?!\n)",
        description="the name of a kind: a lower-case letter, then lower-case letters, digits, `_`, `.` or `-`; up to 64 in all",
    ),
]
Tag = Annotated[str, Meta(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Meta(max_length=50)]
Text = Annotated[str, Meta(max_length=10_000)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Offset = Annotated[int, Meta(ge=0, le=2**31)]
When = Annotated[datetime, Meta(tz=True)]
"""RFC 3339 with an offset."""

Rate = Annotated[
    str,
    Meta(pattern=r"^[1-9][0-9]{0,8}/[smhd]$(?!\n)", description="requests per second, minute, hour or day, such as `600/m`"),
]
PathPattern = Annotated[str, Meta(min_length=1, max_length=8192)]
"""A directory, or with `/**` behind it also everything below; `**` is everything."""
SECRET_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
SecretName = Annotated[
    str, Meta(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,99}|\*)$(?!\n)", description="the name of a secret, or `*` for all")
]

"""What the processes of a task may use, as orchestrators of containers write it."""

from typing import Annotated, Final

from msgspec import Meta

from worker_client.contract.fields import TimeoutSeconds
from worker_client.contract.request import Request

_UNITS: Final = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
CPU: Final = 'a share of one core such as "500m", or cores such as 0.5, "2", from 0.01 to 1024'
MEMORY: Final = 'bytes, or an amount such as "256Mi", "1.5Gi", "500M", from 1Mi to 1024Ti'


class ResourceLimits(Request, kw_only=True):
    """Of a task's command and all that it starts: the cores it may keep busy on average, its memory, its time."""

    cpu: (
        Annotated[str, Meta(pattern=r"^([1-9][0-9]{1,6}m|0\.[0-9]{0,5}[1-9]|[1-9][0-9]{0,2}(\.[0-9]{1,6})?)$", description=CPU)]
        | Annotated[float, Meta(ge=0.01, le=1024)]
        | None
    ) = None
    memory: (
        Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,14}(\.[0-9]{1,6})?([kMGT]|[KMGT]i)?$", description=MEMORY)]
        | Annotated[int, Meta(ge=2**20, le=2**60)]
        | None
    ) = None
    timeout: TimeoutSeconds | None = None

    @property
    def cores(self) -> float | None:
        """How many cores may be busy on average."""
        if isinstance(self.cpu, str):
            return float(self.cpu[:-1]) / 1000 if self.cpu.endswith("m") else float(self.cpu)
        return self.cpu

    @property
    def memory_bytes(self) -> int | None:
        """How much memory all processes may have together."""
        if isinstance(self.memory, str):
            number = self.memory.rstrip("kKMGTi")
            return round(float(number) * _UNITS[self.memory.removeprefix(number)])
        return self.memory

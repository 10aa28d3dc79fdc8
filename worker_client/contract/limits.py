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
CPU: Final = 'cores such as 2, 0.5 or "0.5", or thousandths of one such as "500m"; from 0.01 to 999'
MEMORY: Final = 'bytes, or an amount such as "256Mi", "1.5Gi" or "500M"; a million bytes at least'
_CORES: Final = r"^([1-9][0-9]{1,5}m|0\.(0[1-9]|[1-9])[0-9]{0,4}|[1-9][0-9]{0,2}(\.[0-9]{1,6})?)$(?!\n)"
_AMOUNT: Final = r"^([1-9][0-9]{6,17}|[1-9][0-9]{3,14}(k|Ki)|[1-9][0-9]{0,5}(\.[0-9]{1,6})?[MGT]i?)$(?!\n)"


class ResourceLimits(Request, kw_only=True):
    """Of a task's program and all that it starts: the cores that it may keep busy on average, its memory, its time."""

    cpu: (
        Annotated[str, Meta(pattern=_CORES, description=CPU)]
        | Annotated[int, Meta(ge=1, le=999)]
        | Annotated[float, Meta(ge=0.01, le=999)]
        | None
    ) = None
    memory: Annotated[str, Meta(pattern=_AMOUNT, description=MEMORY)] | Annotated[int, Meta(ge=10**6, le=10**18)] | None = None
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

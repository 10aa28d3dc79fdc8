"""Kind `script`: a command in the task's work directory; success is exit code 0, of `verify` too when there is one."""

import os
from collections.abc import Iterable, Mapping

import msgspec

from worker_client.contract.reports import Usage
from worker_client.contract.specs import ScriptSpec
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome
from worker_client.runners.programs import execute, inherited
from worker_client.runners.verify import Checks, arguments, verify, verify_failure


class ScriptRunner:
    """Runs commands; `inherit` names more variables of the worker's environment that they may see, `checks` verifies."""

    kind = "script"
    needs_directory = True

    def __init__(
        self, *, inherit: Iterable[str] = (), checks: Checks | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._environment = inherited(inherit, environ)
        self._checks = checks or Checks()

    async def run(self, context: RunContext) -> Outcome:
        """Run the command, then `verify`."""
        try:
            spec = msgspec.convert(context.task.spec or {}, ScriptSpec)
        except msgspec.ValidationError as error:
            return Failed(type="InvalidSpec", message=f"spec of a script task: {error}", retryable=False)
        ran = await execute(context, arguments(spec.command, spec.args), self._environment)
        usage = Usage(duration_ms=ran.duration_ms)
        if ran.ended.exit_code != 0:
            kind = "MemoryLimit" if ran.ended.exceeded else "ExitCode"
            return Failed(type=kind, message=ran.told("the command"), details=ran.result(), usage=usage)
        check = self._checks.command(context, spec.verify)
        if check is not None:
            verified = await verify(context, check, self._environment)
            if verified.ended.exit_code != 0:
                return verify_failure(verified, usage)
        return Done(ran.result(), usage)

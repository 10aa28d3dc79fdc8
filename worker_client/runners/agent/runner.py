"""Kind `agent`: a coding agent works on the prompt, in a session that later attempts go on with."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from worker_client.contract.enums import LogStream, ParkReason
from worker_client.contract.reports import Usage
from worker_client.contract.specs import AgentSpec
from worker_client.errors import CannotBegin
from worker_client.runners.agent.beginning import Beginning, InvalidSpec, anew, beginning, budget_left, spec_of
from worker_client.runners.agent.judging import Ending, evidence_of, judged, result_of
from worker_client.runners.agent.prompt import asking
from worker_client.runners.agent.protocol import Agent, Assignment, Class, Report
from worker_client.runners.agent.questions import question_in
from worker_client.runners.agent.running import Run
from worker_client.runners.agent.settings import AgentSettings
from worker_client.runners.agent.usages import added
from worker_client.runners.agent.versions import Versions
from worker_client.runners.base import RunContext
from worker_client.runners.outcomes import Done, Failed, Outcome, Parked, Released
from worker_client.runners.programs import MOST_ARGUMENT_BYTES, inherited
from worker_client.runners.verify import Checks, verify, verify_failure
from worker_client.sessions import Session, remember

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
RESERVED: Final = (
    *("PATH", "HOME", "USER", "USERPROFILE", "APPDATA", "LOCALAPPDATA", *PROXIES, *map(str.lower, PROXIES)),
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "NODE_OPTIONS", "NODE_TLS_REJECT_UNAUTHORIZED", "BUN_OPTIONS"),
)
"""With what the agent inherits, variables that a task may not change: who it works as is the worker's to say, and a worker that
finds that it can't work stops."""
_KEY: Final = "API_KEY"


class ProgramMissing(Exception):
    """The agent isn't installed."""


class AgentRunner:
    """Runs one agent. `account`: what its quota hangs on. `state`: the worker's folder, where its sessions are written down."""

    kind = "agent"
    needs_directory = True

    def __init__(
        self,
        agent: Agent,
        settings: AgentSettings | None = None,
        *,
        state: Path,
        account: str | None = None,
        checks: Checks | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._agent = agent
        self._settings = settings or AgentSettings()
        self._state = state
        self._account = account
        self._checks = checks or Checks()
        self._environment = inherited(environ=environ)
        names = (*RESERVED, *agent.inherit, *self._settings.inherit)
        keys = (name for name in agent.inherit if name.endswith(f"_{_KEY}"))
        self._families = (f"{agent.name.upper()}_", *(name.removesuffix(_KEY) for name in keys))
        self._own = {**{name: environ.get(name) for name in names}, **self._settings.environment}
        self._versions = Versions()

    async def run(self, context: RunContext) -> Outcome:
        """Have the agent do the task, then verify."""
        try:
            return await self._run(context, spec_of(context.task))
        except InvalidSpec as error:
            return Failed(type="InvalidSpec", message=str(error), retryable=False)
        except ProgramMissing as error:
            return Released(str(error), stop=True)

    async def _run(self, context: RunContext, spec: AgentSpec) -> Outcome:
        task, name = context.task, self._agent.name
        if spec.agent not in {None, name}:
            return Released(f"the task is for the agent {spec.agent}; this worker runs {name}")
        budget = budget_left(task, spec)
        if budget is not None and budget <= 0:
            return Parked(reason=ParkReason.BUDGET, message="the task has cost as much as its budget allows")
        start = beginning(task, spec, agent=self._agent, state=self._state, directory=context.directory)
        ending = await self._once(context, spec, start, budget)
        if ending.verdict.session_lost and start.session_id is not None and not ending.run.stopped:
            context.log(f"the session {start.session_id} can't be resumed: a new one begins", LogStream.SYSTEM)
            ending = await self._once(context, spec, anew(task), budget)
        return await self._concluded(context, spec, ending)

    async def _once(self, context: RunContext, spec: AgentSpec, start: Beginning, budget: float | None) -> Ending:
        with _prompt_file(start.prompt) as prompt_file:
            assignment = Assignment(
                prompt=start.prompt,
                prompt_file=prompt_file,
                directory=context.directory,
                session_id=start.session_id,
                fresh_session_id=str(uuid.uuid4()),
                model=spec.model or self._settings.model,
                budget_usd=budget,
                spent=start.used,
            )
            launch = self._agent.launch(assignment, self._settings)
            if shutil.which(launch.argv[0], path=self._environment.get("PATH")) is None:
                raise ProgramMissing(
                    f"{launch.argv[0]} is no program that can be run here: install it, or name it in the settings"
                )
            if max(len(argument.encode()) for argument in launch.argv) > MOST_ARGUMENT_BYTES:
                raise InvalidSpec(
                    f"{self._agent.name} takes its prompt as an argument of its command line, which can't hold this much"
                )
            reader = self._agent.reader(assignment, self._settings)
            run = Run(context, reader, stall_seconds=self._settings.stall_seconds, told=self._teller(context, start))
            await run.go(launch, self._environment, {**self._not_to_be_set(context), **self._own})
        report = reader.report
        verdict = reader.verdict(run.ended)
        evidence = evidence_of(self._agent.name, assignment, launch, run, report, verdict)
        if run.stopped and verdict.outcome is not Class.DONE:
            evidence["outcome"] = "budget" if context.stopping == "parked" else "killed"
        if report.session_id is not None and not verdict.session_lost:
            self._remember(context, report.session_id, added(start.used, report.usage))
        if report.version is None and not run.stopped:
            await self._add_version(evidence, launch.argv[0], run)
        return Ending(
            agent=self._agent.name,
            account=self._account,
            run=run,
            report=report,
            verdict=verdict,
            evidence=evidence,
        )

    def _not_to_be_set(self, context: RunContext) -> dict[str, None]:
        """What the task says about the agent itself or its account, such as a header with another key."""
        return {name: None for name in context.task.environment if name.startswith(self._families)}

    async def _add_version(self, evidence: dict[str, Any], program: str, run: Run) -> None:
        try:
            version = await self._versions.of(program, self._environment)
        except asyncio.CancelledError:
            # What the agent did is told all the same.
            run.stopped = True
        else:
            evidence |= {"version": version} if version else {}

    def _teller(self, context: RunContext, start: Beginning) -> Callable[[Report], None]:
        """Says to the server what is new in a report; the session first of all, since without it nothing can be gone on with."""
        told = Report()

        def tell(report: Report) -> None:
            if report.session_id is not None and report.session_id != told.session_id:
                told.session_id = report.session_id
                context.set_session(report.session_id, self._agent.name)
                if report.session_id != start.session_id:
                    self._remember(context, report.session_id, Usage())
            if report.usage != told.usage:
                told.usage = report.usage
                context.used(report.usage)
            if report.activity is not None and report.activity != told.activity:
                told.activity = report.activity
                context.progress(message=report.activity)

        return tell

    def _remember(self, context: RunContext, session_id: str, used: Usage) -> None:
        at = datetime.now(UTC)
        session = Session(
            agent=self._agent.name,
            session_id=session_id,
            directory=context.directory,
            worktree=context.worktree,
            task_id=context.task.id,
            at=at,
            used=used,
        )
        remember(self._state, session)

    async def _concluded(self, context: RunContext, spec: AgentSpec, ending: Ending) -> Outcome:
        """What to report of an agent that has ended; one that says that it is done may have asked, or done it wrong."""
        report, usage, evidence = ending.report, ending.usage, ending.evidence
        outcome = judged(ending)
        if outcome is not None:
            return outcome
        asked = question_in(report.final_text)
        if asked is not None:
            context.checkpoint(asking(context.task, asked.question))
            return Parked(
                question=asked.question,
                options=asked.options,
                session_id=report.session_id,
                agent=ending.agent,
                usage=usage,
                evidence={**evidence, "outcome": "question"},
            )
        failed = await self._check(context, spec, ending)
        if failed is not None:
            return failed
        return Done(result_of(ending), usage, evidence)

    async def _check(self, context: RunContext, spec: AgentSpec, ending: Ending) -> Failed | None:
        """Verify what the agent says is done; why it isn't."""
        usage, evidence = ending.usage, ending.evidence
        command = self._checks.command(context, spec.verify)
        if command is None:
            return None
        stopped = Failed(type="Stopped", message="stopped before its work was checked", usage=usage, evidence=evidence)
        if ending.run.stopped:
            return stopped
        try:
            check = await verify(context, command, self._environment)
        except asyncio.CancelledError:
            return stopped
        evidence["verify"] = {"command": command, "exit_code": check.ended.exit_code, "duration_ms": check.duration_ms}
        if check.ended.exit_code == 0:
            return None
        return structs.replace(verify_failure(check, usage), evidence={**evidence, "outcome": "failed"})


@contextlib.contextmanager
def _prompt_file(prompt: str) -> Iterator[Path]:
    """The prompt as a file, for as long as the agent runs; raises CannotBegin, as on a full disk."""
    with contextlib.ExitStack() as kept:
        try:
            folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="orchestrator-agent-", ignore_cleanup_errors=True))
            file = Path(folder, "prompt.md")
            file.write_text(prompt, encoding="utf-8")
        except OSError as error:
            raise CannotBegin(f"the prompt can't be written to a temporary file: {error}") from error
        yield file

"""Records what the real programs print, for the tests that replay it: `python -m tests.agents.record`, after `make test-agents`.

One file per case in `streams/<program>/`: `{"out": line}` and `{"err": line}` as they came, then `{"exit_code"}` or `{"signal"}`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Final

from tests.agents.conftest import FOLDER, NODE, PROGRAMS
from tests.agents.homes import Home
from tests.agents.model import Model, scripted
from tests.agents.outside import watched
from tests.agents.turns import Limited, Refused, Say, Shell, Stalled, Turn
from worker_client.runners.agent.known import KNOWN
from worker_client.runners.agent.protocol import Assignment
from worker_client.runners.agent.settings import AgentSettings

STREAMS: Final = Path(__file__).parent / "streams"
RECORDED: Final = ("codex", "opencode", "gemini")
CASES_OF_PLANS: Final = ("codex",)
"""Programs that a limit of a plan is told to in other words than one of a key."""
UNKNOWN: Final = {
    "codex": "01a20018-e522-7533-92c7-87dee3609202",
    "opencode": "ses_dffe38d5bffea2WQO3yqP5VgLs",
    "gemini": "32c45c98-ea41-428d-b0cb-551159043c13",
}
CASES: Final[dict[str, list[Turn]]] = {
    "done": [Say("The test is fixed.")],
    "resumed": [Say("Postgres it is.")],
    "tools": [Shell("echo one; pwd; false"), Say("It printed one.")],
    "limited": [Limited(int(time.time()) + 3600)],
    "limited_key": [Limited(int(time.time()) + 3600, subscription=False)],
    "refused": [Refused()],
    "stalled": [Stalled("I begin")],
    "lost": [Say("never said")],
}


def record(program: str, case: str, session: str | None, home: Home, folder: Path) -> list[dict[str, object]]:
    """Run it to its end, or until it has been silent for a while."""
    prompt = folder / "prompt"
    prompt.write_text("Fix the test.")
    assignment = Assignment(
        prompt="Fix the test.", prompt_file=prompt, directory=str(folder), session_id=session, fresh_session_id=str(uuid.uuid4())
    )
    launch = KNOWN[program].launch(assignment, AgentSettings(program=str(PROGRAMS / program)))
    events: list[dict[str, object]] = []
    with (
        prompt.open() as given,
        subprocess.Popen(
            launch.argv,
            cwd=folder,
            env=home.environment,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):

        def follow(stream: str) -> None:
            source = process.stdout if stream == "out" else process.stderr
            assert source is not None
            events.extend({stream: line.rstrip("\n")} for line in source)

        threads = [threading.Thread(target=follow, args=[stream]) for stream in ("out", "err")]
        for thread in threads:
            thread.start()
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            # Gemini doesn't end by itself when it is asked to while it waits.
            os.killpg(process.pid, signal.SIGKILL if program == "gemini" else signal.SIGTERM)
            code = process.wait(20)
        for thread in threads:
            thread.join()
    return [*events, {"exit_code": code} if code >= 0 else {"signal": signal.Signals(-code).name}]


def cleaned(events: list[dict[str, object]], home: Home, folder: Path, model: Model) -> str:
    """Without what is this machine's."""
    text = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
    for real, shown in (
        (str(folder), "/srv/project"),
        (str(home.path), "/home/user"),
        (f"file://{FOLDER}/", ""),
        (f"{FOLDER}/", ""),
        (f"{tempfile.gettempdir()}/", ""),
    ):
        text = text.replace(real, shown)
    return re.sub(r"/\$bunfs/\w+/", "/", text.replace(model.url, "http://127.0.0.1:8000"))


def main() -> None:
    """Record all cases of the named programs."""
    for program in sys.argv[1:] or RECORDED:
        with tempfile.TemporaryDirectory() as place, watched() as outside, scripted() as model:
            folder = Path(place, "project")
            folder.mkdir()
            subprocess.run(["git", "init", "-q", str(folder)], check=True)
            home = Home(Path(place, "home"), [PROGRAMS, NODE])
            home.ask(model.url)
            home.environment |= outside.environment | {"TZ": "UTC"}
            target = STREAMS / program
            target.mkdir(parents=True, exist_ok=True)
            session = None
            for case, script in CASES.items():
                if case == "limited_key" and program not in CASES_OF_PLANS:
                    continue
                model.play(*script)
                resumed = {"resumed": session, "lost": UNKNOWN[program]}.get(case)
                events = record(program, case, resumed, home, folder)
                if case == "done":
                    session = re.search(r'(?:thread_id|sessionID|session_id)\\?": ?\\?"([\w-]+)', json.dumps(events))[1]  # type: ignore[index]
                (target / f"{case}.jsonl").write_text(cleaned(events, home, folder, model))


if __name__ == "__main__":
    main()

"""A label on an issue has an agent work on it; what came out is a comment on that issue.

    APP_GITHUB_WEBHOOK_SECRET=... orchestrator serve          # GitHub sends its events here, see docs/github.md
    GITHUB_TOKEN=... python examples/github_bot.py acme/shop /srv/shop

The server takes the events, checks their signatures, and makes the tasks. This program follows the feed and comments; where it
was stands in a file, so that after a restart it goes on there, and no result is passed over.
"""

import os
import sys
from pathlib import Path

import httpx

from worker_client import Client, Conflict, Event, Step, Task

NAME = "issues-for-agents"
API = os.environ.get("GITHUB_API_URL", "https://api.github.com")


def main(repository: str, directory: str, place: str = ".github-bot") -> None:
    """Deploy the workflow, then comment until the program is ended."""
    mark = Path(place)
    with Client() as client, httpx.Client(base_url=API, headers=_headers()) as github:
        _deploy(client, repository, directory)
        after = mark.read_text() if mark.exists() else None
        for event in client.events(type=["task.completed", "task.failed"], work_path=[directory], after=after):
            if isinstance(event, Event) and event.task_id is not None:
                _comment(github, client.get(event.task_id))
                mark.write_text(event.id)


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"}


def _deploy(client: Client, repository: str, directory: str) -> None:
    issue = {"repository": "{{ input.repository.full_name }}", "issue": "{{ input.issue.number }}"}
    prompt = "Solve this issue. Commit, push nothing.\n\n{{ input.issue.title }}\n\n{{ input.issue.body }}"
    work = {"work_directory": directory, "title": "#{{ input.issue.number }}", "prompt": prompt, "metadata": issue}
    trigger = {"type": "github", "events": ["issues.labeled"], "labels": ["agent"], "repositories": [repository]}
    try:
        workflow = client.create_workflow(name=NAME, steps=[Step(id="solve", task=work)], triggers=[trigger])
    except Conflict:
        return
    client.deploy_workflow(workflow.id)


def _comment(github: httpx.Client, task: Task) -> None:
    about = task.metadata
    if "issue" not in about:
        return
    words = task.result["text"] if task.error is None else f"It did not work out: {task.error.message}"
    answer = github.post(f"/repos/{about['repository']}/issues/{about['issue']}/comments", json={"body": words})
    answer.raise_for_status()


if __name__ == "__main__":
    main(*sys.argv[1:])

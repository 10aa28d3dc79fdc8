"""What is defined in the scene: commands, workflows with their triggers, schedules."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from tests.browser.sites import Site
from worker_client import Client
from worker_client.contract.commands import Argument
from worker_client.contract.enums import Missed, Overlap, RunIf
from worker_client.contract.schedules import CommandCall, WorkflowCall
from worker_client.contract.tasks import CreateTask
from worker_client.contract.workflows import Step
from worker_client.endpoints import API

SECRET: Final = "hush-hush-hush-hush-hush"


def commands(client: Client) -> None:
    """Prompts that people use again and again."""
    client.create_command(
        name="review",
        description="Review the changes of a branch",
        arguments=[Argument(name="branch", default="main")],
        body="Review what this checkout changes against ${branch}. Report bugs first, with file and line.",
    )
    client.create_command(
        name="deps/upgrade",
        description="Upgrade one dependency and fix what breaks",
        arguments=[Argument(name="package", required=True)],
        body="Upgrade ${package} to its newest version, read its changelog, fix what breaks, run all tests.",
        settings={"model": "claude-sonnet-4-5"},
    )
    client.create_command(
        name="changelog",
        description="整理变更日志",
        body="根据最近一次发布以来的提交，整理 CHANGELOG.md：$ARGUMENTS",  # noqa: RUF001 - marks of Chinese
    )
    client.create_command(name="triage", description="Sort new issues", body="Look at the issues opened since yesterday.")


def workflows(client: Client) -> dict[str, str]:
    """Graphs with their triggers; by a short name the id."""

    def agent(prompt: str, path: str) -> dict[str, Any]:
        return {"work_directory": path, "prompt": prompt, "title": prompt[:60]}

    made = {
        "release": client.create_workflow(
            name="Release train",
            description="Tests everywhere, then one release, then the announcement",
            input={"version": "4.2.0", "services": ["checkout-api", "payments", "search"]},
            steps=[
                Step(id="plan", task=agent("Plan the release {{ input.version }}", "/home/mei/docs")),
                Step(
                    id="test",
                    depends_on=["plan"],
                    for_each="{{ input.services }}",
                    task=agent("Run and mend the tests of {{ item }}", "/home/mei/{{ item }}"),
                ),
                Step(id="audit", depends_on=["plan"], task=agent("Audit the licences", "/var/checkouts/platform")),
                Step(
                    id="build",
                    depends_on=["test", "audit"],
                    task=agent("Build and sign {{ input.version }}", "/var/checkouts/ci-images"),
                ),
                Step(id="announce", depends_on=["build"], task=agent("Write the announcement", "/home/mei/mailer")),
                Step(
                    id="rollback",
                    depends_on=["build"],
                    run_if=RunIf.FAILURE,
                    task=agent("Roll back to the last release", "/var/checkouts/cluster"),
                ),
            ],
            triggers=[{"type": "manual", "confirm": True}, {"type": "cron", "cron": _daily(9)}],
        ),
        "review": client.create_workflow(
            name="Review pull requests",
            steps=[
                Step(id="review", task=agent("Review the change", "/home/mei/storefront")),
                Step(id="security", task=agent("Look for holes in the change", "/var/checkouts/auth")),
                Step(id="answer", depends_on=["review", "security"], task=agent("Post one comment", "/home/mei/storefront")),
            ],
            triggers=[
                {"type": "webhook", "methods": ["POST"], "auth": {"type": "hmac", "secret": SECRET}},
                {"type": "manual"},
            ],
        ),
        "nightly": client.create_workflow(
            name="夜间数据校验",
            description="导出、校验、汇总",
            steps=[
                Step(id="export", task=agent("导出昨日订单", "/srv/agents/exports")),
                Step(id="check", depends_on=["export"], task=agent("校验数据一致性", "/srv/agents/data-contracts")),
                Step(id="report", depends_on=["check"], task=agent("生成日报", "/srv/agents/reports")),
            ],
            triggers=[{"type": "cron", "cron": _daily(7)}],
        ),
    }
    return {name: workflow.id for name, workflow in made.items()}


def deploy(client: Client, workflows: Iterable[str]) -> None:
    """Turn their triggers on."""
    for workflow in workflows:
        client.deploy_workflow(workflow)


def deliveries(site: Site, workflow: str) -> None:
    """Somebody who may fires a trigger, and somebody who may not."""
    site.client.fire_manually(workflow)
    for number in (1187, 1188):
        url = f"{site.url}{API}/public/webhook/workflow/{workflow}"
        answer = httpx.post(url, json={"pull_request": number}, headers={"x-signature": "sha256=0" * 8})
        assert answer.status_code == 401, answer.text


def schedules(client: Client, nightly: str) -> dict[str, int]:
    """What comes by itself; by a short name the id."""

    def task(path: str, prompt: str) -> CreateTask:
        return CreateTask(work_directory=path, prompt=prompt, title=prompt, kind="sweep")

    made = {
        "hourly": client.create_schedule(
            name="Sweep the inbox", cron=_each(60), task=task("/home/mei/mailer", "Sort new bug reports"), missed=Missed.ALL
        ),
        "deps": client.create_schedule(
            name="Daily dependency upgrade",
            cron=_daily(4),
            command=CommandCall(name="deps/upgrade", arguments={"package": "all"}, work_directory="/home/mei/storefront"),
            overlap=Overlap.SKIP,
        ),
        "report": client.create_schedule(
            name="每日成本报告",
            cron="0 8 * * *",
            timezone="Asia/Shanghai",
            task=task("/srv/agents/reports", "汇总昨日各目录的用量和成本"),
        ),
        "rotate": client.create_schedule(
            name="Rotate the staging secrets",
            cron=_daily(17),
            task=task("/var/checkouts/secrets-rotation", "Rotate all secrets of staging"),
            description="Asks for approval in the channel first",
        ),
        "nightly": client.create_schedule(
            name="Night run of the data checks", cron=_daily(20), workflow=WorkflowCall(id=nightly), enabled=False
        ),
        "crawl": client.create_schedule(
            name="Crawl the partners",
            cron=_each(20),
            task=task("/srv/agents/crawler", "Crawl the feeds of all partners"),
            overlap=Overlap.ONE_AT_A_TIME,
            pause_after_failures=3,
            missed=Missed.SKIP,
        ),
    }
    return {name: schedule.id for name, schedule in made.items()}


def _daily(hours: int) -> str:
    """Every day, as many hours from now: whenever the scene is put on, it is not due yet."""
    return f"{datetime.now(UTC) + timedelta(hours=hours):%-M %-H} * * *"


def _each(minutes: int) -> str:
    """So often, but not within the next minutes: nothing fires while the scene is looked at."""
    first = (datetime.now(UTC).minute - 2) % minutes
    return f"{','.join(str(minute) for minute in range(first, 60, minutes))} * * * *"

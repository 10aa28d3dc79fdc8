"""`orchestrator notify`: who is told of what, by webhook, mail or Slack."""

import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

from orchestrator.cli.exits import Exit
from orchestrator.cli.options import PRIORITIES, STATUSES, Session, connected, duration
from orchestrator.cli.reaching import every

if TYPE_CHECKING:
    from worker_client.contract.notifications import NotificationRule

OUTCOMES = ("pending", "delivered", "dead")
name = click.argument("name", metavar="RULE")


@click.group("notify")
def notify() -> None:
    """Who is told of what happens: webhooks, mails, Slack.

    RULE is the name of a rule, or its id.

    \b
        orchestrator notify add failures --event task.failed --status failed --email ops@example.org
        orchestrator notify test failures
        orchestrator notify deliveries --rule failures
    """  # noqa: D301 - click reads the mark itself


@notify.command("add")
@click.argument("name", metavar="NAME")
@click.option("--event", "events", multiple=True, help="Type of event, such as task.failed or run.*; may be repeated.")
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only when the task stands so then; may be repeated.")
@click.option("--tag", "tags", multiple=True, help="Only tasks with this tag; may be repeated, all of them.")
@click.option("--dir", "work_path", metavar="DIR", multiple=True, help="Only here and below; may be repeated.")
@click.option("--only-dir", is_flag=True, help="With --dir: not below.")
@click.option("--priority", type=click.Choice(PRIORITIES), multiple=True, help="Only tasks of this priority; may be repeated.")
@click.option("--failed-times", type=click.IntRange(1, 1000), help="Attempts that failed, from this one on.")
@click.option("--waiting", "waiting_seconds", metavar="TIME", type=duration, help="A task waits longer than this, such as 30m.")
@click.option("--webhook", metavar="URL", help="Where to: a webhook, in the form of standard-webhooks.")
@click.option(
    "--secret", envvar="ORCHESTRATOR_WEBHOOK_SECRET", show_envvar=True, help="With --webhook: what it is signed with, whsec_..."
)
@click.option("--email", metavar="ADDRESS", multiple=True, help="Where to: a mail; may be repeated.")
@click.option("--subject", help="With --email: a template, such as 'Failed: {{ task.title }}'.")
@click.option(
    "--slack",
    metavar="URL",
    envvar="ORCHESTRATOR_SLACK_URL",
    show_envvar=True,
    help="Where to: a Slack-compatible incoming webhook.",
)
@click.option("--prompt", "include_prompt", is_flag=True, help="Also tell what the task was asked to do.")
@click.option("--tries", type=click.IntRange(1, 100), help="Give up after so many.  [default: notify.tries of the server]")
@connected
def add(session: Session, **options: Any) -> None:
    """Make a rule, which tells of what happens from now on; all that it says has to fit.

    \b
        orchestrator notify add stuck --waiting 1h --dir /srv --slack "$SLACK_URL"
        orchestrator notify add all --event "task.*" --webhook https://example.org/hook --secret whsec_...
    """  # noqa: D301 - click reads the mark itself
    from orchestrator.cli.notices import line
    from orchestrator.cli.options import work_path
    from worker_client.contract.enums import Priority, Status
    from worker_client.contract.notifications import EmailTarget, SlackTarget, WebhookTarget

    webhook, secret, slack = options.pop("webhook"), options.pop("secret"), options.pop("slack")
    email, subject = list(options.pop("email")), options.pop("subject")
    # A variable that names another target than the one that is asked for says nothing.
    chosen = {"webhook": webhook, "email": email, "slack": None if webhook or email else slack}
    if sum(map(bool, chosen.values())) != 1:
        raise click.UsageError("say where to with one of --webhook, --email and --slack")
    if subject and not email:
        raise click.UsageError("--subject is for --email")
    targets: dict[str, Any] = {}
    if webhook:
        targets["webhook"] = WebhookTarget(url=webhook, secret=secret or "")
    elif email:
        targets["email"] = EmailTarget(to=email, subject=subject)
    else:
        targets["slack"] = SlackTarget(url=slack)
    options |= {
        "events": list(options["events"]),
        "tags": list(options["tags"]),
        "status": [Status(one) for one in options["status"]],
        "priority": [Priority(one) for one in options["priority"]],
        "work_path": [work_path(one) for one in options["work_path"]],
        "recursive": not options.pop("only_dir"),
    }
    made = session.client.create_notification_rule(**options, **targets)
    session.put(made, line(made))


@notify.command("list")
@connected
def list_rules(session: Session) -> None:
    """List rules, by name."""
    from orchestrator.cli import notices

    found = list(every(session.client.notification_rules))
    none = "no rules: orchestrator notify add failures --event task.failed --email ops@example.org"
    session.put({"items": found}, notices.rules(found) if found else none)


@notify.command()
@name
@connected
def show(session: Session, name: str) -> None:
    """Show all about a rule, and what it was told last."""
    from orchestrator.cli import notices

    found = _rule(session, name)
    if session.as_json:
        session.put(found)
        return
    told = session.client.notifications(rule_id=found.id, limit=5).items
    session.put(found, notices.facts(found), *([notices.deliveries(told)] if told else []))


@notify.command()
@click.argument("names", metavar="RULE...", nargs=-1, required=True)
@connected
def remove(session: Session, names: tuple[str, ...]) -> None:
    """Delete rules, also what they were told and what is not sent yet."""
    for one in names:
        found = _rule(session, one)
        session.client.delete_notification_rule(found.id)
        session.put({"id": found.id, "name": found.name, "deleted": True}, f"rule {found.name} is deleted")


@notify.command()
@click.argument("names", metavar="RULE...", nargs=-1, required=True)
@connected
def off(session: Session, names: tuple[str, ...]) -> None:
    """Turn rules off: they hear of nothing, and what is not sent yet waits."""
    _turn(session, names, on=False)


@notify.command()
@click.argument("names", metavar="RULE...", nargs=-1, required=True)
@connected
def on(session: Session, names: tuple[str, ...]) -> None:
    """Turn rules on again, for what happens from now on."""
    _turn(session, names, on=True)


@notify.command()
@name
@connected
def test(session: Session, name: str) -> None:
    """Send a test message now, and say what the receiver said; exit code 1 when it did not get there."""
    found = _rule(session, name)
    sent = session.client.test_notification_rule(found.id)
    said = f"{sent.status}" if sent.status else ""
    good = f"delivered in {sent.seconds:g} s ({said})" + (f": {sent.reason}" if sent.reason else "")
    session.put(sent, good if sent.delivered else f"not delivered: {sent.reason}")
    if not sent.delivered:
        sys.exit(Exit.FAILED)


@notify.command()
@click.option("--rule", metavar="RULE", help="Only of this rule.")
@click.option("--task", "task_id", type=click.IntRange(min=1), help="Only about this task.")
@click.option("--status", type=click.Choice(OUTCOMES), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")
@connected
def deliveries(session: Session, rule: str | None, **options: Any) -> None:
    """Show what rules were told, newest first, and what became of it."""
    from orchestrator.cli import notices, timetable
    from worker_client.contract.enums import NotificationStatus

    if options["status"]:
        options["status"] = NotificationStatus(options["status"])
    if rule is not None:
        options["rule_id"] = _rule(session, rule).id
    page = session.client.notifications(**options)
    session.put(page, notices.deliveries(page.items) if page.items else "nothing was told", *timetable.rest(page))


@notify.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.IntRange(min=1))
@click.option("--dead", "rule", metavar="RULE", help="All that was given up of this rule.")
@connected
def redeliver(session: Session, ids: tuple[int, ...], rule: str | None) -> None:
    """Send something again that was delivered or given up, by its id in `deliveries`.

    \b
        orchestrator notify redeliver 17
        orchestrator notify redeliver --dead failures
    """  # noqa: D301 - click reads the mark itself
    if bool(ids) == (rule is not None):
        raise click.UsageError("name deliveries by their ids, or --dead RULE")
    if rule is not None:
        found = _rule(session, rule)
        done = session.client.redeliver_dead_notifications(found.id)
        session.put(done, f"rule {found.name}: {done.count} are sent again")
    for one in ids:
        again = session.client.redeliver_notification(one)
        session.put(again, f"{again.id} is sent again to {again.rule}")


def _turn(session: Session, names: tuple[str, ...], *, on: bool) -> None:
    from orchestrator.cli.notices import line

    for one in names:
        changed = session.client.update_notification_rule(_rule(session, one).id, enabled=on)
        session.put(changed, line(changed))


def _rule(session: Session, name: str) -> "NotificationRule":
    """The rule with this name, or else the one with this id."""
    from worker_client.errors import Conflict, NotFound

    found = [one for one in every(session.client.notification_rules, q=name) if one.name == name]
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise Conflict(f"{len(found)} rules have the name {name[:40]!r}: say which by its id, {ids}")
    if found:
        return found[0]
    if name.isascii() and name.isdecimal():
        return session.client.get_notification_rule(int(name))
    raise NotFound(f"no rule has the name or the id {name[:40]!r}; `orchestrator notify list` shows them")

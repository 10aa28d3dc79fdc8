"""Writes config/grafana/orchestrator.json: `python config/grafana/dashboard.py`. A test compares the two."""

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("orchestrator.json")
WIDTH = 24
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GOOD, BAD, ODD, CALM = "green", "red", "orange", "blue"

Panel = dict[str, Any]


def chosen(name: str) -> str:
    """A metric, with labels of its own if it has any, of the chosen servers."""
    metric, _, labels = name.rstrip("}").partition("{")
    own = f", {labels}" if labels else ""
    return f'{metric}{{job="$job", instance=~"$instance"{own}}}'


def over(function: str, by: str, of: str) -> str:
    """An aggregation."""
    return f"{function} by ({by}) ({of})" if by else f"{function} ({of})"


def rate(name: str, by: str = "") -> str:
    """What a counter gained per second, at all chosen servers together."""
    return over("sum", by, f"rate({chosen(name)}[$__rate_interval])")


def quantile(at: float, name: str, by: str = "") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({at}, {rate(f'{name}_bucket', f'{by}, le' if by else 'le')})"


def gained(name: str, by: str = "", within: str = "$__range") -> str:
    """What a counter gained, in the time that is shown."""
    return over("sum", by, f"increase({chosen(name)}[{within}])")


def spread(name: str, high: float = 0.95) -> list[tuple[str, str]]:
    """The median of a histogram, and a quantile near its end."""
    return [(quantile(0.5, name), "median"), (quantile(high, name), f"{high * 100:g} %")]


def most(name: str, by: str = "") -> str:
    """A gauge that is the same at all servers, as it is read from the database."""
    return over("max", by, chosen(name))


def target(ref: str, expr: str, legend: str, *, instant: bool = False) -> Panel:
    """A query."""
    found = {"refId": ref, "datasource": SOURCE, "expr": expr, "legendFormat": legend}
    return {**found, "instant": True, "format": "table"} if instant else found


def panel(type: str, title: str, queries: list[tuple[str, str]], *, unit: str = "short", told: str = "", **more: Any) -> Panel:
    """A panel; `queries`: an expression and what its lines are called."""
    defaults: Panel = {"unit": unit, "min": 0, "color": {"mode": "palette-classic"}, **more.pop("defaults", {})}
    return {
        "type": type,
        "title": title,
        "description": told,
        "datasource": SOURCE,
        "targets": [target(chr(65 + at), expr, legend, instant=type == "table") for at, (expr, legend) in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        **more,
    }


def lines(
    title: str, *queries: tuple[str, str], unit: str = "short", told: str = "", stacked: bool = False, **more: Any
) -> Panel:
    """Lines over time; `colors` by name, where a color means something."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "smooth",
        "lineWidth": 2,
        "fillOpacity": 35 if stacked else 12,
        "gradientMode": "opacity",
        "showPoints": "never",
        "spanNulls": True,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    overrides = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for name, color in more.pop("colors", {}).items()
    ]
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    shown = {"defaults": {"custom": custom}, "overrides": overrides, "options": options}
    return panel("timeseries", title, list(queries), unit=unit, told=told, **shown, **more)


def number(
    title: str, expr: str, *, unit: str = "short", told: str = "", bad_from: float | None = None, color: str = CALM
) -> Panel:
    """One large number, which turns orange and red from a value on."""
    steps: list[Panel] = [{"color": color if bad_from is None else GOOD, "value": None}]
    if bad_from is not None:
        steps += [{"color": ODD, "value": bad_from}, {"color": BAD, "value": bad_from * 4}]
    defaults = {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}, "decimals": None}
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, [(expr, "")], unit=unit, told=told, defaults=defaults, options=options)


TOP_WAITING = f"topk(10, {most('waiting_tasks', 'work_directory, host')})"


def directories() -> Panel:
    """The longest queues, and how long their oldest tasks wait."""
    names = {"work_directory": "Directory", "host": "Host", "Value #A": "Waiting", "Value #B": "Oldest"}
    gauge = {"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "gradient"}}
    return panel(
        "table",
        "Directories",
        [
            (TOP_WAITING, ""),
            (f"topk(10, {most('oldest_waiting_seconds', 'work_directory, host')})", ""),
        ],
        told="The longest queues, and where tasks wait longest",
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "renameByName": names,
                },
            },
        ],
        overrides=[
            {"matcher": {"id": "byName", "options": "Oldest"}, "properties": [{"id": "unit", "value": "s"}]},
            {"matcher": {"id": "byName", "options": "Waiting"}, "properties": [gauge]},
        ],
        options={"showHeader": True, "sortBy": [{"displayName": "Waiting", "desc": True}]},
    )


Row = list[tuple[int, Panel]]
"""The panels of a row, each with its width."""
OUTCOMES = {"completed": GOOD, "failed": BAD, "expired": ODD, "cancelled": "text", "released": CALM, "parked": "purple"}
ONE_KIND = 'task_attempts_total{outcome=~"failed|expired"}'


def rows() -> list[tuple[str, Row]]:
    """All rows, from what concerns everybody to what concerns the operator."""
    return [
        ("Overview", overview()),
        ("Throughput", throughput()),
        ("Latency", latency()),
        ("Queue", [(12, directories()), (12, lines("Waiting by directory", (TOP_WAITING, "{{work_directory}}")))]),
        ("Workers and leases", workers()),
        ("Failures, and what does not go on", failures()),
        ("Database", database()),
        ("Schedules, triggers, workflows", automation()),
        ("Notifications", notifications()),
        ("Cost", cost()),
        ("Servers", servers()),
    ]


def throughput() -> Row:
    """What gets done."""
    unfinished = most('tasks{status!~"completed|cancelled"}', "status")
    done = [(rate(f"task_{one}_total"), one) for one in ("created", "completed", "failed")]
    costly = "Only failed and expired ones cost a task one of its attempts"
    ended = (rate("task_attempts_total", "outcome"), "{{outcome}}")
    return [
        (12, lines("Tasks per second", *done, unit="ops", colors={**OUTCOMES, "created": CALM})),
        (12, lines("Attempts that ended", ended, unit="ops", stacked=True, told=costly, colors=OUTCOMES)),
        (12, lines("Tasks by status", (unfinished, "{{status}}"), stacked=True)),
        (12, lines("Attempts by kind", (rate("task_attempts_total", "kind"), "{{kind}}"), unit="ops", stacked=True)),
    ]


def latency() -> Row:
    """How long one waits for what."""
    took = [(quantile(at, "task_attempt_duration_seconds", "kind"), f"{{{{kind}}}}, {at:.0%}") for at in (0.5, 0.95)]
    asked = f"topk(10, {rate('response_time_seconds_count', 'method, route')})"
    answered = (rate("response_time_seconds_count", "status"), "{{status}}")
    colors = {"2xx": GOOD, "4xx": ODD, "5xx": BAD}
    return [
        (8, lines("From ready to begun", *spread("task_attempt_wait_seconds"), unit="s", told="Of attempts that ended")),
        (8, lines("Attempts take", *took, unit="s")),
        (8, lines("Requests take", *spread("response_time_seconds", 0.99), unit="s", told="Without long polls and streams")),
        (12, lines("Requests", (asked, "{{method}} {{route}}"), unit="reqps")),
        (12, lines("Requests by status", answered, unit="reqps", stacked=True, colors=colors)),
    ]


def workers() -> Row:
    """Who is there."""
    here = "asking: they wait for work right now"
    states = (most("workers", "state"), "{{state}}")
    names = {"parked_polls": "for work", "event_listeners": "for events", "open_connections": "connections"}
    held = [(over("sum", "", chosen(name)), legend) for name, legend in names.items()]
    expired = (gained("lease_expired_total", within="15m"), "in 15 minutes")
    return [
        (8, lines("Workers", states, stacked=True, told=here, colors={"asking": CALM, "busy": GOOD})),
        (8, lines("Calls that wait", *held)),
        (8, lines("Leases that ran out", expired, colors={"in 15 minutes": ODD})),
    ]


def failures() -> Row:
    """What somebody should look at."""
    return [
        (8, lines("Attempts that failed", (rate(ONE_KIND, "kind"), "{{kind}}"), unit="ops")),
        (8, lines("Stuck", (most("stuck_tasks", "reason"), "{{reason}}"), told="For more than 15 minutes")),
        (8, lines("Parked", (most("parked_tasks", "reason"), "{{reason}}"), stacked=True)),
    ]


def automation() -> Row:
    """What creates work by itself."""
    late = [*spread("schedule_late_seconds", 0.99), (most("late_schedule_seconds"), "not yet")]
    delivered = (rate("trigger_deliveries_total", "type, outcome"), "{{type}}: {{outcome}}")
    return [
        (6, lines("Schedules that fired", (rate("schedule_fires_total", "outcome"), "{{outcome}}"), unit="ops", stacked=True)),
        (6, lines("Schedules fire late by", *late, unit="s")),
        (6, lines("Deliveries to triggers", delivered, unit="ops")),
        (6, lines("Runs that ended", (rate("run_ended_total", "status"), "{{status}}"), unit="ops", colors=OUTCOMES)),
    ]


def notifications() -> Row:
    """Who is told."""
    tried = (rate("notification_tries_total", "via, outcome"), "{{via}}: {{outcome}}")
    undelivered = (most("notification_oldest_undelivered_seconds"), "oldest")
    return [
        (12, lines("Tries to deliver notifications", tried, unit="ops")),
        (12, lines("Oldest that is to be delivered", undelivered, unit="s")),
    ]


def cost() -> Row:
    """What agents cost."""
    hourly = f"3600 * {rate('agent_cost_usd_total', 'agent')}"
    whole = [(gained("agent_cost_usd_total", "agent"), "{{agent}}")]
    bars = {"displayMode": "gradient", "orientation": "horizontal", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return [
        (8, lines("Cost per hour", (hourly, "{{agent}}"), unit="currencyUSD", stacked=True)),
        (8, lines("Tokens per second", (rate("agent_tokens_total", "agent, type"), "{{agent}}: {{type}}"), stacked=True)),
        (8, panel("bargauge", "Cost in this time", whole, unit="currencyUSD", options=bars)),
    ]


def servers() -> Row:
    """The processes."""
    lag = (quantile(0.99, "event_loop_lag_seconds", "instance"), "{{instance}}, 99 %")
    behind = [
        (chosen("replica_behind_events"), "{{instance}}: events"),
        (chosen("replica_looked_seconds"), "{{instance}}: seconds"),
    ]
    told = "Several servers on one PostgreSQL: how far each is behind the others"
    return [
        (6, lines("Processor", (rate("process_cpu_seconds_total", "instance"), "{{instance}}"), unit="percentunit")),
        (6, lines("Memory", (chosen("process_resident_memory_bytes"), "{{instance}}"), unit="bytes")),
        (6, lines("Event loop is late by", lag, unit="s")),
        (6, lines("Behind other servers", *behind, told=told)),
    ]


def overview() -> Row:
    """What one looks at first."""
    firing = 'count (ALERTS{alertstate="firing", job="$job"}) or vector(0)'
    stuck = over("sum", "", most("stuck_tasks", "reason"))
    return [
        (3, number("Servers that answer", over("sum", "", chosen("up")), color=GOOD)),
        (3, number("Running", most("active_tasks"), color=GOOD)),
        (3, number("Waiting", most('tasks{status="waiting"}'))),
        (3, number("Oldest waiting", most("oldest_waiting_task_seconds"), unit="s", bad_from=900)),
        (3, number("Stuck", stuck, bad_from=1, told="Silent, unanswered or unasked for 15 minutes")),
        (3, number("Failed", gained("task_failed_total"), bad_from=1, told="In the time that is shown")),
        (3, number("Alerts", firing, bad_from=1, told="That fire right now")),
        (3, number("Cost", gained("agent_cost_usd_total"), unit="currencyUSD", told="In the time that is shown")),
    ]


def database() -> Row:
    """Where tasks are kept."""
    operations = [(rate("commit_batch_size_sum"), "committed"), (rate("operation_shed_total"), "refused")]
    return [
        (6, lines("Transactions take", *spread("commit_duration_seconds", 0.99), unit="s")),
        (6, lines("Queries take", *spread("database_read_seconds", 0.99), unit="s")),
        (6, lines("Operations", *operations, unit="ops", colors={"committed": GOOD, "refused": BAD})),
        (6, lines("Operations per transaction", *spread("commit_batch_size", 0.99))),
        (12, lines("Operations that wait for a commit", (chosen("commit_backlog"), "{{instance}}"))),
        (12, lines("Write-ahead log", (chosen("wal_size_bytes"), "{{instance}}"), unit="bytes", told="SQLite only")),
    ]


def variables() -> list[Panel]:
    """What one chooses at the top."""
    asks = {"type": "query", "datasource": SOURCE, "refresh": 2, "sort": 1}
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
        {**asks, "name": "job", "label": "Job", "query": "label_values(orchestrator_info, job)", "current": {}},
        {
            **asks,
            "name": "instance",
            "label": "Server",
            "query": 'label_values(orchestrator_info{job="$job"}, instance)',
            "multi": True,
            "includeAll": True,
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def dashboard() -> Panel:
    """All of it, as Grafana takes it."""
    panels: list[Panel] = []
    top = 0
    for title, found in rows():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1}, "panels": []}
        )
        top, left = top + 1, 0
        height = HEIGHT // 2 if title == "Overview" else HEIGHT
        for width, one in found:
            if left + width > WIDTH:
                left, top = 0, top + height
            panels.append({**one, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left += width
        top += height
    firing = {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": BAD,
        "expr": 'ALERTS{alertstate="firing", job="$job"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{reason}}",
        "step": "60s",
    }
    return {
        "uid": "task-orchestrator",
        "title": "Task orchestrator",
        "tags": ["agents", "queue"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables()},
        "annotations": {"list": [firing]},
        "panels": [{"id": number, **one} for number, one in enumerate(panels, 1)],
    }


def page() -> str:
    """The whole file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Schedules from code: every night at two in Berlin, whatever the clocks do.

    python examples/nightly.py /srv/shop

Run it as often as you like: a schedule with this name that is there already is brought to what stands here.
"""

import sys

from worker_client import Client, Conflict, CreateTask

NAME = "nightly-dependencies"
CRON, ZONE = "0 2 * * *", "Europe/Berlin"


def main(directory: str) -> None:
    """Save the schedule, and print when it will fire."""
    work = CreateTask(
        work_directory=directory,
        prompt="Update the dependencies, one commit each. Leave out what breaks the tests, and say why.",
        spec={"verify": "make test", "budget": {"cost_usd": 3}},
        tags=["nightly"],
    )
    with Client() as client:
        try:
            schedule = client.create_schedule(name=NAME, cron=CRON, timezone=ZONE, task=work, pause_after_failures=3)
        except Conflict:
            (known,) = [one for one in client.schedules(limit=1000).items if one.name == NAME]
            schedule = client.update_schedule(known.id, cron=CRON, timezone=ZONE, task=work)
        preview = client.preview_schedule(schedule.id, count=3)
        print(preview.description)
        for fire in preview.fires:
            print(f"  {fire.at:%Y-%m-%d %H:%M %Z}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One task per file, and one that waits for all of them.

    python examples/fan_out.py /srv/shop src/*.py

All are created in one request, or none; the last one waits until each of the others is completed, and is cancelled when one
fails for good.
"""

import sys

from worker_client import Client, CreateTask, Priority


def main(directory: str, *files: str) -> None:
    """Print the id of the task that ends it all."""
    reviews = [
        CreateTask(work_directory=directory, prompt=f"Review {file} as a strict colleague would.", tags=["review"])
        for file in files
    ]
    with Client() as client:
        made = client.create_many(tasks=reviews).tasks
        last = client.create(
            work_directory=directory,
            title="What the reviews found",
            prompt="Read the results of these tasks and write REVIEW.md: " + ", ".join(f"#{task.id}" for task in made),
            depends_on=[task.id for task in made],
            priority=Priority.HIGH,
        )
    print(last.id)


if __name__ == "__main__":
    main(*sys.argv[1:])

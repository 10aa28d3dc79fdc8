"""What is wrong with a cron expression."""


class CronError(ValueError):
    """A cron expression or time zone is refused; the message names the field, its value and what is allowed."""

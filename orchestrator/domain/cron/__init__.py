"""Cron expressions: when a schedule is due.

Five fields (minute, hour, day of month, month, day of week), six (the second first) or seven (the second first, the year last).
`*` any, `9-17` a range, `1,15` a list, `*/5` and `10-50/5` steps, `5/15` from 5 on. Ranges may go over the end: `22-2`,
`FRI-MON`. Names (`JAN`, `MON`) in any case; Sunday is 0 and 7. Years from 1970 to 2099.

- Days: `?` is `*`; `L` the last day of the month, `L-3` three days before it, `15W` the weekday nearest to the 15th within its
  month, `LW` the last weekday; `5#2` or `FRI#2` the second Friday of the month, `5L` or `FRIL` the last one.
- When day of month and day of week are both restricted, it is due on days that match either of them, as cron does. Only `*` and
  `?` are unrestricted: `*/2` restricts.
- `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
- `@every 1h30m`: this far apart (`d`, `h`, `m`, `s`), in whole periods since 1970-01-01 00:00 UTC: the same on every server
  and after every restart.
- `H` is a value of its own for each name, always the same one: `H * * * *` is hourly, at a minute that differs from schedule to
  schedule. `H/15` each 15 minutes from such a minute on, `H(0-29)` within these bounds. Days of the month go up to 28.
  `R` (by chance) is refused: it would change with each restart.

Times are those of the schedule's zone. When its clocks change:

- Is the hour named (its field does not begin with `*`), it is due once a day: a time that the clocks skip is due at the first
  moment after the gap (several that are skipped together: once), and a time that comes twice is due the first time only.
- Does the hour begin with `*` (`*`, `*/2`; also `@hourly`), it follows the clock on the wall: hours that come twice are due
  twice, hours that are skipped are not due. `@every` doesn't look at the clock on the wall at all.
"""

from orchestrator.domain.cron.cron import Cron, parse
from orchestrator.domain.cron.errors import CronError

__all__ = ["Cron", "CronError", "parse"]

"""Rules of notifications, what they were told, and what is next."""

from collections.abc import Sequence
from typing import Final

from orchestrator.domain.announcing import WAITING
from orchestrator.domain.notification_operations import Waited
from orchestrator.domain.notification_records import Notification, NotificationRule
from orchestrator.domain.principal import PathScope
from orchestrator.domain.task import Millis
from orchestrator.store.reads.conditions import ALWAYS, Condition, all_of, one_of, within
from orchestrator.store.reads.tasks import refuse_both
from orchestrator.store.reads.values import COUNTED, PRIORITIES, Listing, Reading, cursor_at, place_of, total_of
from orchestrator.store.rows import RECORD_COLUMNS, record_of
from worker_client.contract.notifications import ListNotificationRules, ListNotifications

_RULES: Final = f"SELECT {RECORD_COLUMNS[NotificationRule.TABLE]} FROM notification_rules r"
_NOTIFICATIONS: Final = f"SELECT {RECORD_COLUMNS[Notification.TABLE]} FROM notifications r"
_KEY: Final = "'waiting/' || t.id || '/' || t.lease_no || '/' || t.ready_at"
_AT_ONCE: Final = 500


class NotificationReads(Reading):
    """Queries for notifications."""

    async def notification_rule(self, rule_id: int, visible: PathScope) -> NotificationRule | None:
        """A rule; None when there is none, or it reaches further than the asker."""
        rows = await self._fetch(f"{_RULES} WHERE r.id = ?", (rule_id,))
        found = record_of(NotificationRule, rows[0]) if rows else None
        return found if found is not None and found.reach.within(visible) else None

    async def notification_rules(self, query: ListNotificationRules, visible: PathScope) -> list[NotificationRule]:
        """The rules that the asker sees, by name; of rules there are few."""
        rows = await self._fetch(f"{_RULES} ORDER BY r.name, r.id", ())
        found = (record_of(NotificationRule, row) for row in rows)
        words = (query.q or "").lower()
        return [rule for rule in found if rule.reach.within(visible) and words in rule.name.lower()]

    async def rules_on(self) -> list[NotificationRule]:
        """The rules that are on."""
        rows = await self._fetch(f"{_RULES} WHERE r.enabled = 1 ORDER BY r.id", ())
        return [record_of(NotificationRule, row) for row in rows]

    async def notification(self, notification_id: int) -> Notification | None:
        """Something that a rule was told."""
        rows = await self._fetch(f"{_NOTIFICATIONS} WHERE r.id = ?", (notification_id,))
        return record_of(Notification, rows[0]) if rows else None

    async def notifications(self, query: ListNotifications, rules: Sequence[int] | None) -> Listing[Notification]:
        """A page of what rules (None: all) were told, newest first. Raises ValidationFailed for a bad cursor."""
        refuse_both(query.cursor, query.offset)
        parts = [ALWAYS if rules is None else one_of("r.rule_id", rules)]
        if query.rule_id is not None:
            parts.append(Condition("r.rule_id = ?", (query.rule_id,)))
        if query.task_id is not None:
            parts.append(Condition("r.task_id = ?", (query.task_id,)))
        if query.status is not None:
            parts.append(Condition("r.status = ?", (str(query.status),)))
        where = all_of(parts)
        before = ALWAYS if query.cursor is None else Condition("r.id < ?", (place_of(query.cursor, "n")[1],))
        rows = await self._fetch(
            f"{_NOTIFICATIONS} WHERE {where.sql} AND {before.sql} ORDER BY r.id DESC LIMIT ? OFFSET ?",
            (*where.params, *before.params, query.limit + 1, query.offset),
        )
        ((counted,),) = await self._fetch(
            f"SELECT count(*) FROM (SELECT 1 FROM notifications r WHERE {where.sql} LIMIT {COUNTED + 1}) AS counted", where.params
        )
        found = [record_of(Notification, row) for row in rows[: query.limit]]
        total, exact = total_of(counted)
        more = cursor_at(f"n{found[-1].id}") if len(rows) > query.limit else None
        return Listing(items=found, total=total, total_exact=exact, next_cursor=more)

    async def notifications_due(self) -> dict[int, Millis]:
        """When something is next due of each rule that is on and has something."""
        least = "(SELECT min(n.due_at) FROM notifications n WHERE n.rule_id = r.id AND n.due_at IS NOT NULL)"
        rows = await self._fetch(f"SELECT r.id, {least} FROM notification_rules r WHERE r.enabled = 1", ())
        return {rule_id: due_at for rule_id, due_at in rows if due_at is not None}

    async def oldest_undelivered(self) -> Millis | None:
        """Since when the oldest message waits that is to be delivered."""
        least = "(SELECT min(n.created_at) FROM notifications n WHERE n.rule_id = r.id AND n.status = 'pending')"
        ((found,),) = await self._fetch(
            f"SELECT min(s.since) FROM (SELECT {least} AS since FROM notification_rules r WHERE r.enabled = 1) s", ()
        )
        oldest: Millis | None = found
        return oldest

    async def waiting_long(self, rule: NotificationRule, now: Millis) -> list[Waited]:
        """Tasks that have waited for longer than a rule says, which it was not told of; none that had before it began."""
        wanted = rule.wanted
        longest = round(1000 * (wanted.waiting_seconds or 0))
        since = "CASE WHEN t.updated_at > t.ready_at THEN t.updated_at ELSE t.ready_at END"
        tags = self._dialect.each.format("t.tags")
        parts = [
            Condition(f"{since} <= ? AND {since} >= ?", (now - longest, rule.begins_at - longest)),
            within(rule.reach.patterns, "t.path"),
            within(wanted.places.patterns if wanted.places is not None else None, "t.path"),
            *(Condition(f"EXISTS (SELECT 1 FROM {tags} g WHERE g.value = ?)", (tag,)) for tag in wanted.tags),
            Condition(
                f"NOT EXISTS (SELECT 1 FROM notifications n WHERE n.rule_id = ? AND n.key = {_KEY} AND n.type = ?)",
                (rule.id, WAITING),
            ),
        ]
        if wanted.priority:
            parts.append(one_of("t.priority", [PRIORITIES.index(priority) for priority in wanted.priority]))
        where = all_of(parts)
        rows = await self._fetch(
            f"SELECT t.id, {since}, t.lease_no, t.ready_at FROM tasks t"
            f" WHERE t.status = 'waiting' AND {where.sql} LIMIT {_AT_ONCE}",
            where.params,
        )
        return [Waited(rule.id, *row) for row in rows]

"""What other servers do, as the feed tells it: their events are told on here, and wake the polls that are parked here."""

from collections.abc import Collection, Sequence

from orchestrator.domain.principal import EVERYWHERE
from orchestrator.domain.rules import Rules
from orchestrator.queue.causes import DRAINED, FREEING, RESUMED, freed, may_wait, told
from orchestrator.queue.feed import Feed
from orchestrator.queue.parked import Parked
from orchestrator.store.protocol import FeedEvent
from orchestrator.store.reads import Reads
from worker_client.contract.enums import Status

_PAGE = 1_000


class Hearing:
    """Brings the events of all servers into one order; what this server did wakes nobody a second time."""

    def __init__(self, feed: Feed, parked: Parked) -> None:
        self._feed = feed
        self._parked = parked
        self._own: set[int] = set()
        self._heard: list[FeedEvent] = []
        self._telling: list[FeedEvent] = []

    def committed(self, events: Sequence[FeedEvent]) -> bool:
        """This server's events are on disk; False when others' lie between, so that they are told only with those."""
        self._own.update(event.id for event in events)
        told = not events or events[0].id <= self._feed.last_id + 1
        if told:
            self._feed.publish(event for event in events if event.id > self._feed.last_id)
        return told

    def heard(self, events: Sequence[FeedEvent]) -> None:
        """Tell events on, but none twice."""
        fresh = [event for event in events if event.id > self._feed.last_id]
        self._feed.publish(fresh)
        self._heard += fresh
        if not self._parked.deciding:
            self.sift()

    def sift(self) -> bool:
        """Keep of what was heard what may concern a parked poll; whether there is any. Only while no claims are decided."""
        heard = [event for event in self._heard if event.id not in self._own]
        self._heard.clear()
        if self._own:
            self._own = {number for number in self._own if number > self._feed.last_id}
        room = self._parked.room
        if room.size:
            waiting = may_wait(heard)
            self._telling += [
                event
                for event in heard
                if (event.task_id in waiting and event.status == Status.WAITING and room.is_asked_for(event.path))
                or (event.type in FREEING and room.keeps_back)
                or (event.type == RESUMED and room.rests)
                or event.type == DRAINED
            ]
        return bool(self._telling)

    async def catch_up(self, reads: Reads, rules: Rules) -> None:
        """Hear all that has been committed by now, and wake for it. Raises StoreAwayError."""
        while True:
            events = await reads.events(self._feed.last_id, _PAGE, EVERYWHERE)
            self.heard(events)
            if len(events) < _PAGE:
                break
        telling, self._telling = self._telling, []
        if telling:
            try:
                ready = await reads.still_waiting(may_wait(telling))
                # Limits matter to what is freed alone.
                limited: Collection[str] = await reads.limited() if any(event.type in FREEING for event in telling) else ()
            except BaseException:
                self._telling = telling + self._telling
                raise
            self._parked.wake([*ready, *freed(telling, limited, everywhere=rules.max_running > 0), *told(telling)])

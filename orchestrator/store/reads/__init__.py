"""Queries outside the queue: each sees only what its `visible` covers, and none is paid for by the past."""

from orchestrator.store.reads.advice import AdviceReads
from orchestrator.store.reads.attempts import AttemptReads
from orchestrator.store.reads.dialect import POSTGRES, SQLITE, Dialect
from orchestrator.store.reads.doors import DoorReads
from orchestrator.store.reads.flows import FlowReads
from orchestrator.store.reads.graphs import GraphReads
from orchestrator.store.reads.hints import HintReads
from orchestrator.store.reads.histories import HistoryReads
from orchestrator.store.reads.holds import HoldReads
from orchestrator.store.reads.notifications import NotificationReads
from orchestrator.store.reads.now import NowReads
from orchestrator.store.reads.outputs import OutputReads
from orchestrator.store.reads.queue import Bound, Held, Obstacles, Overlap, Parent, QueueReads
from orchestrator.store.reads.tasks import TaskReads
from orchestrator.store.reads.triggers import TriggerReads
from orchestrator.store.reads.values import Fetch, Listing
from orchestrator.store.reads.waiting import WaitingReads

__all__ = ["POSTGRES", "SQLITE", "Bound", "Dialect", "Fetch", "Held", "Listing", "Obstacles", "Overlap", "Parent", "Reads"]


class Reads(
    TaskReads,
    AttemptReads,
    NowReads,
    QueueReads,
    WaitingReads,
    HistoryReads,
    GraphReads,
    OutputReads,
    HintReads,
    DoorReads,
    HoldReads,
    FlowReads,
    TriggerReads,
    AdviceReads,
    NotificationReads,
):
    """All queries, over one way to fetch rows, from a database of one dialect: `Reads(fetch, SQLITE)`."""

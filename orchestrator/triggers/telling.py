"""What the log and the metrics tell of a trigger that has fired."""

import structlog

from orchestrator.domain.records import Delivery
from orchestrator.telemetry.metrics import Metrics
from worker_client.contract.enums import DeliveryOutcome

log = structlog.get_logger()

_STATUS = {DeliveryOutcome.FIRED: "success", DeliveryOutcome.DRY_RUN: "dry_run", DeliveryOutcome.FAILED: "failed"}


def told(row: Delivery, metrics: Metrics) -> None:
    """Tell what became of a delivery; a line in the log has what began a run, or would have."""
    outcome = DeliveryOutcome(row.outcome)
    metrics.delivered(row.type, str(outcome))
    if outcome in _STATUS:
        fired(row.type, row.workflow_id, row.run_id, row.duration_ms, _STATUS[outcome])


def fired(trigger_type: str, workflow_id: str, run_id: int | None, duration_ms: int, status: str = "success") -> None:
    """One line, `execution_id` being the run, under the names that collectors of logs may know it by."""
    log.info(
        "trigger_fired",
        service="workflow_scheduler",
        trigger_type=trigger_type,
        workflow_id=workflow_id,
        execution_id="" if run_id is None else str(run_id),
        duration_ms=duration_ms,
        status=status,
    )

"""Every code of advice: what it means, and its English words. Another language is another table of the same keys."""

from typing import Final

from orchestrator.domain.advice.catalogue.entry import Entry
from orchestrator.domain.advice.catalogue.of_all import OF_ALL
from orchestrator.domain.advice.catalogue.of_tasks import OF_A_TASK

__all__ = ["CATALOGUE", "OF_ALL", "OF_A_TASK", "Entry"]

CATALOGUE: Final = {**OF_A_TASK, **OF_ALL}

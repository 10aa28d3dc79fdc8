"""Budgets of a day: whether one over a directory is used up, and who is told."""

from orchestrator.domain import budgets
from orchestrator.domain.outcomes import BudgetReached, Change, Noted
from orchestrator.domain.principal import Principal
from orchestrator.domain.task import DirectorySetting
from orchestrator.domain.world import World


def forbids(setting: DirectorySetting, kind: str, world: World) -> str | None:
    """How the budget of a directory forbids that a task of a kind begins, in words.

    Attempts that run count as if they had ended: so there are never more than allowed. Read before those that have ended, no
    attempt is missed that ends meanwhile at another server.
    """
    if not budgets.daily(setting):
        return None
    running = 0 if setting.daily_attempts is None else world.running_below(setting.path, setting.host)
    spent = world.spending.below(setting.path, setting.host)
    found = budgets.attempts_used_up(setting, spent.attempts + running)
    return found or (budgets.day_used_up(setting, spent) if budgets.metered(kind) else None)


def overspent(path: str, host: str, kind: str, world: World) -> tuple[DirectorySetting, str] | None:
    """The first directory over a path whose tokens or money for today are used up, and how, for work that is under way."""
    for setting in world.settings_over(path, host) if budgets.metered(kind) else ():
        if budgets.daily(setting) and (words := budgets.day_used_up(setting, world.spending.below(setting.path, setting.host))):
            return setting, words
    return None


def noticed(path: str, host: str, world: World) -> list[Change]:
    """What follows for the directories over a path after something was counted: that a budget is used up is told once a day."""
    changes: list[Change] = []
    for setting in world.settings_over(path, host):
        if budgets.daily(setting):
            spent = world.spending.below(setting.path, setting.host)
            words = budgets.day_used_up(setting, spent) or budgets.attempts_used_up(setting, spent.attempts)
            if words is not None:
                changes += reached(setting, words, world)
    return changes


def reached(setting: DirectorySetting, words: str, world: World) -> list[Change]:
    """Remember that a budget is used up, so that the end of the day wakes who waits for it, and tell the feed."""
    today = budgets.day_of(world.now)
    if setting.reached_day == today:
        return []
    return [
        BudgetReached(setting.path, setting.host, today),
        Noted("directory.budget_reached", budgets.told(words, world.now), setting.path, setting.host),
    ]


def said(setting: DirectorySetting, words: str, by: Principal) -> str:
    """What a worker is told; how much others may use is not for who cannot see them."""
    if by.paths.covers_below(setting.path):
        return f"the budget of {setting.path} for today is used up: {words}; again at 00:00 UTC, or raise it"
    return "the budget of a directory above this one for today is used up; again at 00:00 UTC"

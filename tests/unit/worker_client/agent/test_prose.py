"""Limits and refusals that agents tell in prose."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from worker_client.runners.agent.prose import LIMITED, REFUSED, resets_at

NOW = datetime(2026, 11, 21, 22, 7, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 3593s.", 3593),
        ("try again in 3 hours 2 minutes.", 3 * 3600 + 120),
        ("try again in 1 day, 2 hours and 3 minutes", 86_400 + 2 * 3600 + 180),
        ("Your quota will reset after 3h2m5s.", 3 * 3600 + 125),
        ("Please retry in 48.5s", 48.5),
        ("try again in 350ms", 0.35),
        ("try again in 5 min", 300),
        ("available in 99999 days", 366 * 86_400),
    ],
)
def test_lengths(text: str, seconds: float) -> None:
    at = resets_at(text, NOW)
    assert at is not None
    assert (at - NOW).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("or try again at 10:56 PM.", datetime(2026, 11, 21, 22, 57, tzinfo=NOW.tzinfo)),
        ("or try again at 12:05 AM.", datetime(2026, 11, 22, 0, 6, tzinfo=NOW.tzinfo)),
        ("try again at 9:00 AM", datetime(2026, 11, 22, 9, 1, tzinfo=NOW.tzinfo)),
        ("try again at 10:07 PM", datetime(2026, 11, 21, 22, 8, tzinfo=NOW.tzinfo)),
        ("try again at Nov 24th, 2026 9:56 PM.", datetime(2026, 11, 24, 21, 57, tzinfo=NOW.tzinfo)),
        ("try again at Jan 1st, 2027 12:00 AM.", datetime(2027, 1, 1, 0, 1, tzinfo=NOW.tzinfo)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    assert resets_at(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "try again later", "try again at 25:99 PM", "try again at Foo 41st, 2026 9:56 PM", "in 3 hours I go home"]
)
def test_no_time_is_said(text: str) -> None:
    assert resets_at(text, NOW.astimezone(UTC)) is None


@pytest.mark.parametrize(
    "text",
    [
        "You've hit your usage limit.",
        "exceeded retry limit, last status: 429 Too Many Requests",
        "Quota exceeded. Check your plan and billing details.",
        "You have exhausted your daily quota on this model.",
        "RESOURCE_EXHAUSTED",
        "rate_limit_exceeded",
    ],
)
def test_limits(text: str) -> None:
    assert LIMITED.search(text)
    assert not REFUSED.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "unexpected status 401 Unauthorized: Incorrect API key provided",
        "API key not valid. Please pass a valid API key.",
        "Missing environment variable: `OPENAI_API_KEY`.",
        "Your access token could not be refreshed because your refresh token was already used. Please log out and sign in again.",
    ],
)
def test_refusals(text: str) -> None:
    assert REFUSED.search(text)
    assert not LIMITED.search(text)


@pytest.mark.parametrize(
    "text",
    ["the tests failed", "at chunk.js:429:14", "the file is not there", "permission denied", "the cart's token has expired"],
)
def test_other_failures_are_neither(text: str) -> None:
    assert not LIMITED.search(text)
    assert not REFUSED.search(text)

"""What cron expressions mean, by example; how each bad one is refused."""

from datetime import UTC, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest

from orchestrator.domain.cron import CronError, parse
from tests.almanac import moment

NOON = moment(2026, 10, 24, 12) * 1000


def due(expression: str, zone: str = "UTC", at: int = NOON, count: int = 2, key: str = "") -> list[str]:
    cron, found = parse(expression, zone, key), list[str]()
    following: int | None = at
    while following is not None and len(found) < count:
        following = cron.after(following)
        if following is not None:
            found.append(datetime.fromtimestamp(following / 1000, ZoneInfo(zone)).isoformat())
    return found


# As the documents say it: each second, each minute ... Monday (1) at midnight, the first of the month.
DOCUMENTED = {
    "* * * * * *": timedelta(seconds=1),
    "0 * * * * *": timedelta(minutes=1),
    "0 */1 * * * *": timedelta(minutes=1),
    "0 */2 * * * *": timedelta(minutes=2),
    "*/5 * * * *": timedelta(minutes=5),
    "0 */5 * * * *": timedelta(minutes=5),
    "0 */10 * * * *": timedelta(minutes=10),
    "0 */15 * * * *": timedelta(minutes=15),
    "0 */30 * * * *": timedelta(minutes=30),
    "0 0 * * * *": timedelta(hours=1),
    "0 0 */1 * * *": timedelta(hours=1),
    "0 0 */2 * * *": timedelta(hours=2),
}
DAILY = {"0 0 0 * * *": "00:00", "0 2 * * *": "02:00", "0 30 9 * * *": "09:30"} | {
    f"0 0 {hour} * * *": f"{hour:02}:00" for hour in (1, 2, 4, 5, 6)
}


@pytest.mark.parametrize(("expression", "apart"), DOCUMENTED.items())
def test_documented_periods(expression: str, apart: timedelta) -> None:
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert due(expression, count=3) == [(start + apart * times).isoformat() for times in (1, 2, 3)]


@pytest.mark.parametrize(("expression", "time"), DAILY.items())
def test_documented_times_of_day(expression: str, time: str) -> None:
    assert due(expression, "Asia/Shanghai") == [f"2026-10-25T{time}:00+08:00", f"2026-10-26T{time}:00+08:00"]


def test_documented_days() -> None:
    assert due("0 0 0 * * 1") == ["2026-10-26T00:00:00+00:00", "2026-11-02T00:00:00+00:00"]
    assert due("0 0 0 1 * *") == ["2026-11-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00"]
    assert due("0 0 0 1 * ?") == due("0 0 0 1 * *")


@pytest.mark.parametrize(
    ("expression", "first", "second"),
    [
        ("0 0 L * *", "2026-10-31", "2026-11-30"),
        ("0 0 L-3 * *", "2026-10-28", "2026-11-27"),
        ("0 0 LW * *", "2026-10-30", "2026-11-30"),
        ("0 0 15W * *", "2026-11-16", "2026-12-15"),
        ("0 0 1W * *", "2026-11-02", "2026-12-01"),
        ("0 0 31W * *", "2026-10-30", "2026-12-31"),
        ("0 0 15,L * *", "2026-10-31", "2026-11-15"),
        ("0 0 * * 5#2", "2026-11-13", "2026-12-11"),
        ("0 0 * * fri#5", "2026-10-30", "2027-01-29"),
        ("0 0 ? * 5L", "2026-10-30", "2026-11-27"),
        ("0 0 * * SUNL", "2026-10-25", "2026-11-29"),
        ("0 0 * * 7", "2026-10-25", "2026-11-01"),
        ("0 0 * * 6-7", "2026-10-25", "2026-10-31"),
        ("0 0 * * FRI-MON", "2026-10-25", "2026-10-26"),
        ("0 0 29 2 *", "2028-02-29", "2032-02-29"),
        ("0 0 ? 2 5#5", "2036-02-29", "2064-02-29"),
        ("0 0 0 1 1 ? 2030-2040/2", "2030-01-01", "2032-01-01"),
        ("0 0 1 jan,mar *", "2027-01-01", "2027-03-01"),
        ("0 0 13 * 1", "2026-10-26", "2026-11-02"),
        ("0 0 */30 * 1", "2026-10-26", "2026-10-31"),
        ("@weekly", "2026-10-25", "2026-11-01"),
        ("@monthly", "2026-11-01", "2026-12-01"),
        ("@yearly", "2027-01-01", "2028-01-01"),
        ("@ANNUALLY", "2027-01-01", "2028-01-01"),
        ("@midnight", "2026-10-25", "2026-10-26"),
    ],
)
def test_special_days(expression: str, first: str, second: str) -> None:
    assert due(expression) == [f"{first}T00:00:00+00:00", f"{second}T00:00:00+00:00"]


def test_six_fields_begin_and_seven_end_with_what_five_have_not() -> None:
    assert due("10 20 2 * * *", count=1) == ["2026-10-25T02:20:10+00:00"]
    assert due("10 20 2 * * * 2028", count=1) == ["2028-01-01T02:20:10+00:00"]
    assert due("0 0 0 1 1 ? 2020") == []
    assert due("59 59 23 31 12 * 2099", count=2) == ["2099-12-31T23:59:59+00:00"]


def test_a_range_of_one_value_and_ranges_over_the_end() -> None:
    assert due("0 5-5 * * *") == ["2026-10-25T05:00:00+00:00", "2026-10-26T05:00:00+00:00"]
    assert [time[11:13] for time in due("0 22-5/3 * * *", count=4)] == ["22", "01", "04", "22"]


def test_every_counts_whole_periods_since_1970() -> None:
    assert due("@every 1h30m") == ["2026-10-24T13:30:00+00:00", "2026-10-24T15:00:00+00:00"]
    assert due("@every 90s", count=1) == ["2026-10-24T12:01:30+00:00"]
    assert due("@every 1.5h") == due("@every 90m") == due("@EVERY 1h30m")
    # The day on which Berlin's clocks go back has 25 hours.
    assert due("@every 1d", "Europe/Berlin") == ["2026-10-25T02:00:00+02:00", "2026-10-26T01:00:00+01:00"]


def test_h_is_the_same_for_a_name_and_spreads_over_names() -> None:
    assert due("H H * * *", key="a") == due("H H * * *", key="a")
    minutes = [int(due("H * * * *", count=1, key=f"job {number}")[0][14:16]) for number in range(1000)]
    assert set(minutes) == set(range(60))
    assert max(minutes.count(minute) for minute in range(60)) < 40
    for number in range(50):
        key = f"job {number}"
        quarters = [int(time[14:16]) for time in due("H/15 * * * *", count=4, key=key)]
        assert len({minute % 15 for minute in quarters}) == 1
        assert min(quarters) < 15
        assert int(due("H(10-19) * * * *", count=1, key=key)[0][14:16]) in range(10, 20)
        assert int(due("0 0 H * *", count=1, key=key)[0][8:10]) <= 28


def test_a_name_matters_to_h_only() -> None:
    assert parse("@hourly", "UTC", "a") is parse("@hourly", "UTC", "b")


BERLIN = "Europe/Berlin"
SPRING, AUTUMN = moment(2026, 3, 28, 22) * 1000, moment(2026, 10, 24, 22) * 1000


def test_a_time_that_the_clocks_skip_is_due_once_after_the_gap() -> None:
    assert due("30 2 * * *", BERLIN, SPRING) == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert due("*/15 2,3 * * *", BERLIN, SPRING) == ["2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"]
    assert due("0 2,3 * * *", BERLIN, SPRING) == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]
    # Samoa skipped a whole day.
    before = moment(2011, 12, 29, 23) * 1000
    assert due("0 12 * * *", "Pacific/Apia", before) == ["2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"]


def test_a_time_that_comes_twice_is_due_once() -> None:
    assert due("30 2 * * *", BERLIN, AUTUMN) == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    # Also asked in between, when it has come once, and in the second pass itself.
    for at in (moment(2026, 10, 25, 0, 30), moment(2026, 10, 25, 0, 59), moment(2026, 10, 25, 1, 10)):
        assert due("30 2 * * *", BERLIN, at * 1000, count=1) == ["2026-10-26T02:30:00+01:00"]


def test_an_hour_of_any_value_follows_the_clock() -> None:
    assert due("30 * * * *", BERLIN, SPRING + 10_800_000) == ["2026-03-29T03:30:00+02:00", "2026-03-29T04:30:00+02:00"]
    assert due("30 */2 * * *", BERLIN, AUTUMN, count=4) == [
        "2026-10-25T00:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T04:30:00+01:00",
    ]


def test_between_has_its_end_and_not_its_start() -> None:
    cron, minute = parse("* * * * *"), 60_000
    assert cron.between(NOON, NOON + 3 * minute, 10) == [NOON + minute, NOON + 2 * minute, NOON + 3 * minute]
    assert cron.between(NOON, NOON + 3 * minute, 2) == [NOON + minute, NOON + 2 * minute]
    assert cron.between(NOON, NOON + 3 * minute, 0) == []
    assert cron.after(NOON - 1) == NOON
    assert cron.after(NOON) == NOON + minute


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 2 * * *", "At 02:00"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("* * * * * *", "Every second"),
        ("0 0 0 1,15 * 1-5", "At 00:00, on day 1 and 15 of the month, or Monday through Friday"),
        ("0 0 1W,15W * *", "At 00:00, on the first weekday of the month, or on the weekday nearest day 15 of the month"),
        ("0 0 * 2 1#1,FRIL", "At 00:00, only in February, on the first Monday of the month, or on the last Friday of the month"),
        ("0 0 0 1 7 ? 2030", "At 00:00, on day 1 of the month, only in July, only in 2030"),
        ("0 0 1 JUL WED", "At 00:00, only in July, on day 1 of the month, or on Wednesday"),
        ("0 0 1,*/10,L * ?", "At 00:00, on day 1, 11, 21, and 31 of the month, or on the last day of the month"),
        ("0 9-17/4,20 * * *", "At 09:00, 13:00, 17:00 and 20:00"),
        ("@hourly", "Every hour"),
        ("@every 5m", "Every 5 minutes"),
        ("@every 1h", "Every hour"),
        ("@every 1d1h30m5s", "Every 1 day, 1 hour, 30 minutes and 5 seconds"),
        ("@every 90s", "Every 1 minute and 30 seconds"),
    ],
)
def test_words(expression: str, words: str) -> None:
    assert parse(expression).words == words


def test_words_say_what_h_became() -> None:
    time = due("H H * * *", count=1, key="nightly")[0][11:16]
    assert parse("H H * * *", "UTC", "nightly").words == f"At {time} (spread by name)"


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("0 25 * * *", ["hour '25'", "out of range", "0 to 23"]),
        ("60 * * * * *", ["second '60'", "0 to 59"]),
        ("0 0 * FOO *", ["month 'FOO'", "JAN to DEC"]),
        ("0 0 * * 8", ["day of week '8'", "0 to 7"]),
        ("0 0 0 * *", ["day of month '0'", "1 to 31"]),
        ("0 0 0 * * * 1969", ["year '1969'", "1970 to 2099"]),
        ("0 0 31 2 *", ["never due", "month '2'", "29 days", "day of month '31'"]),
        ("0 0 31W 4,6 *", ["never due", "30 days"]),
        ("0 0 0 29 2 ? 2027", ["never due", "year '2027'", "28 days"]),
        ("0 0 L-30 2 ?", ["never due", "L-30"]),
        ("0 0 0 ? 2 5#5 2027", ["never due", "day of week '5#5'"]),
        ("R * * * *", ["minute 'R'", "H is spread as well"]),
        ("0 R(1-5) * * *", ["hour 'R(1-5)'", "H is spread as well"]),
        ("* * *", ["3 fields", "second first"]),
        ("* * * * * * * *", ["8 fields"]),
        ("", ["0 fields"]),
        ("0 0 29 2 * 2027", ["'2027'", "a year send seven"]),
        ("@dayly", ["did you mean @daily?"]),
        ("@everyday", ["'@everyday' is not known"]),
        ("@reboot", ["not when a server starts"]),
        ("@every 500ms", ["'500ms'", "by the second"]),
        ("@every 1.5s", ["'1.5s'", "whole seconds"]),
        ("@every 0s", ["0 seconds"]),
        ("@every 4000d", ["ten years"]),
        ("@every", ["no duration"]),
        ("@every 5", ["no duration"]),
        ("@every -5m", ["no duration"]),
        ("@every 1h 30m", ["no duration"]),
        ("*/90 * * * *", ["minute '*/90'", "1 to 60", "@every 90m"]),
        ("*/0 * * * *", ["minute '*/0'", "1 to 60"]),
        ("0.5 * * * * *", ["second '0.5'", "by the second"]),
        ("-5 * * * *", ["minute '-5'", "negative"]),
        ("1,,2 * * * *", ["minute '1,,2'", "comma"]),
        ("1-2-3 * * * *", ["minute '1-2-3'", "not understood"]),
        ("? * * * *", ["minute '?'", "day of month or day of week"]),
        ("0 0 *,1 * *", ["day of month '*,1'", "stand alone"]),
        ("0 0 * * L", ["day of week 'L'", "5L"]),
        ("0 0 * * 5#6", ["day of week '5#6'", "#5"]),
        ("0 0 32W * *", ["day of month '32W'", "out of range"]),
        ("0 0 L-31 * *", ["day of month 'L-31'"]),
        ("0 0 10-L * *", ["day of month '10-L'"]),
        ("H(5-2) * * * *", ["minute 'H(5-2)'", "out of order"]),
        ("H/90 * * * *", ["minute 'H/90'", "1 to 60"]),
        ("HH * * * *", ["minute 'HH'", "H(0-29)"]),
        ("0 0 0 * * * H", ["year 'H'", "not spread"]),
        ("TZ=Asia/Tokyo 0 6 * * *", ["'TZ=ASIA/TOKYO'", "timezone"]),
        ("0 0 * * \u017fat", ["'\u017f'"]),
        ("\uff11 * * * *", ["'\uff11'"]),
        ("0 0 * *\xa0*", ["'\\xa0'"]),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_its_value_and_what_is_allowed(expression: str, parts: list[str]) -> None:
    with pytest.raises(CronError) as refusal:
        parse(expression)
    message = str(refusal.value)
    assert all(part.lower() in message.lower() for part in parts), message


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("berlin", "did you mean Europe/Berlin?"),
        ("New York", "America/New_York"),
        ("Beijing", "Asia/Shanghai"),
        ("America", "is unknown"),
        ("../../etc/passwd", "is unknown"),
        ("/etc/localtime", "is unknown"),
        ("localtime", "is unknown"),
        ("right/UTC", "is unknown"),
        ("\0", "is unknown"),
        ("", "is unknown"),
        ("x" * 5000, "is unknown"),
    ],
)
def test_an_unknown_zone_is_refused_with_those_that_are_near(name: str, near: str) -> None:
    for expression in ("0 0 * * *", "@every 5m"):
        with pytest.raises(CronError, match="timezone") as refusal:
            parse(expression, name)
        assert near in str(refusal.value)
        assert len(str(refusal.value)) < 300


def test_long_texts_are_refused_at_once() -> None:
    begun = process_time()
    for text in ("1," * 500_000, "*/" + "9" * 1_000_000, "@every " + "1h" * 500_000, "H(" * 500_000):
        with pytest.raises(CronError, match="characters"):
            parse(text)
    for text in (f"{'9' * 240} * * * *", f"*/{'9' * 240} * * * *", f"@every {'9' * 240}h", f"{'9,' * 120} * * * *"):
        with pytest.raises(CronError):
            parse(text)
    assert process_time() - begun < 0.5


@pytest.mark.parametrize("expression", ["0 2 * * *", "0 0 29 2 *", "@every 5m", "@every 3650d"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai"])
def test_nothing_is_due_where_calendars_end(expression: str, zone: str) -> None:
    assert due(expression, zone, 253_402_300_799_999) == []
    assert len(due(expression, zone, moment(2085, 1, 1) * 1000, count=5)) == {"0 0 29 2 *": 3, "@every 3650d": 2}.get(
        expression, 5
    )


def test_five_thousand_computations_cost_well_under_a_second() -> None:
    parse("H H * * *", BERLIN, "first").after(NOON)
    begun = process_time()
    for number in range(5000):
        parse("H H * * *", BERLIN, f"job {number}").after(NOON)
    assert process_time() - begun < 1

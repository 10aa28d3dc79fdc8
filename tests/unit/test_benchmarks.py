"""What benchmarks make of their figures: the table, RESULTS.md, the plot. Their speed is no test."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import peers, plain, plot, results
from benchmarks.peers.systems import SYSTEMS
from benchmarks.report import HEADS, Report, ratio, shown
from orchestrator.store.sqlite.engine import sqlite3


def test_a_line_says_whether_what_is_asked_was_held() -> None:
    report = Report()
    report.compare("create", 690.0, "bare", 1000.0, least=0.7)
    report.compare("create", 690.0, "bare", 1000.0, ratio=0.71, least=0.7)
    report.compare("p50", 3.1, "floor", 1.0, unit=" ms", most=3.0)
    report.compare("claim", 5.0, "bare", 10.0)
    report.bound("memory", 64.0, " MB", most=64)
    report.missing("honker", "pip install honker")
    assert [line.cells() for line in report.compared] == [
        ["create", "690/s", "bare", "1,000/s", "0.69", "≥ 0.7", "NO"],
        ["create", "690/s", "bare", "1,000/s", "0.71", "≥ 0.7", "yes"],
        ["p50", "3.10 ms", "floor", "1.00 ms", "3.10", "≤ 3", "NO"],
        ["claim", "5.00/s", "bare", "10.00/s", "0.50", "", ""],
        ["memory", "64.00 MB", "", "", "", "≤ 64 MB", "yes"],
        ["honker", "not there", "pip install honker", "", "", "", ""],
    ]


def test_ratios_are_of_the_same_round() -> None:
    assert ratio([10, 20, 90], [20, 40, 10]) == 0.5


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (12.345, "12.35"), (12345, "12,345"), ("a", "a")])
def test_figures_are_shown_short(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_part_that_was_not_measured_stays_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"

    def section(name: str, rate: float) -> str:
        report = Report()
        report.compare(f"{name} | all", rate, "bare", 100.0)
        report.table("Details", ["system", "rate"], [["a|b", rate]])
        report.say("A sentence.")
        return results.section(name, "About it.", "2026, here", report)

    names = ["single", "peers", "depth"]
    results.write(file, names, {"peers": section("peers", 10.0), "depth": section("depth", 20.0)})
    results.write(file, names, {"single": section("single", 30.0), "depth": section("depth", 40.0)})
    text = file.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Single", "## Peers", "## Depth"]
    assert "| peers / all | 10.00/s | bare | 100/s | 0.10 |  |  |" in text
    assert "40.00/s" in text
    assert "20.00/s" not in text
    assert f"| {' | '.join(HEADS)} |" in text
    assert "| a/b | 40.00 |" in text
    before = text
    results.write(file, names, {})
    assert file.read_text() == before


def test_a_plot_is_svg_with_the_fastest_first_and_lengths_in_proportion() -> None:
    bars = [plot.Bar("slow & <old>", 50.0), plot.Bar("ours", 100.0, ours=True), plot.Bar("weak", 200.0, weaker=True)]
    root = ET.fromstring(plot.drawn("Jobs", {"16 workers": bars, "1 worker": []}, "A note"))  # noqa: S314 - made here
    rects = root.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(rect.attrib["width"]) for rect in rects]
    assert [rect.attrib["class"] for rect in rects] == ["weaker", "ours", "theirs"]
    assert widths == pytest.approx([widths[0], widths[0] / 2, widths[0] / 4], abs=0.1)
    texts = [text.text for text in root.findall("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Jobs", "16 workers", "weak", "200", "ours", "100", "slow & <old>", "50", "1 worker", "A note"]


def test_plain_sql_moves_tasks_through_their_lives(tmp_path: Path) -> None:
    database = plain.Plain(tmp_path / "plain.db")
    database.life(3)
    database.life(2)
    database.close()
    connection = sqlite3.connect(tmp_path / "plain.db")
    counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in plain.TABLES}  # noqa: S608 - ours
    connection.close()
    assert counts["events"] == 15
    assert counts["tasks"] == counts["task_inputs"] == counts["task_outputs"] == counts["attempts"] == 5
    (task,) = plain.written(tmp_path / "plain.db")["tasks"]
    assert "completed" in task


def test_a_system_that_is_not_there_says_how_to_get_it() -> None:
    for system in SYSTEMS:
        assert system.own or system.package in system.missing({})
        assert (Path(peers.__path__[0]) / f"{system.program}.py").exists()
        assert system.durability
        assert system.settings


def test_a_program_that_is_not_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = {system.needs: system.missing({system.package: "1"}) for system in SYSTEMS}
    assert asked == {"": "", "redis-server": "apt-get install redis-server", "beanstalkd": "apt-get install beanstalkd"}

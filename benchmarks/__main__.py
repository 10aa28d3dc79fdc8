"""`make bench`: prints one table and writes benchmarks/RESULTS.md."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import batches, depth, doors, listeners, machine, overload, pages, resources, results, search, single, upgrade
from benchmarks.peers import beside
from benchmarks.report import HEADS, Report, console, drawn

Measure = Callable[[Report, bool], None]
PARTS: dict[str, Measure] = {
    "single": single.measure,
    "batches": batches.measure,
    "peers": beside.measure,
    "doors": doors.measure,
    "depth": depth.measure,
    "resources": resources.measure,
    "overload": overload.measure,
    "search": search.measure,
    "listeners": listeners.measure,
    "pages": pages.measure,
    "upgrade": upgrade.measure,
}
"""Each takes the report to fill and whether to make it small: a quick run, for whether it works."""
QUICK = ("single", "batches", "peers")
RESULTS = Path(__file__).with_name("RESULTS.md")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), help=f"what to measure; {', '.join(QUICK)} by default")
    parser.add_argument("--small", action="store_true", help="a quick run, for whether it works; written nowhere")
    parser.add_argument("--results", type=Path, help="the file to write instead of benchmarks/RESULTS.md")
    parser.add_argument("--strict", action="store_true", help="fail when something is not as good as is asked")
    return parser.parse_args()


def main() -> int:
    options = _parsed()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    reports: dict[str, Report] = {}
    sections: dict[str, str] = {}
    for name in options.parts or QUICK:
        console.print(f"{name} ...", style="dim")
        reports[name], started = Report(), time.monotonic()
        PARTS[name](reports[name], options.small)
        measured_on = f"{machine.described()}; {time.monotonic() - started:.0f} s"
        sections[name] = results.section(name, sys.modules[PARTS[name].__module__].__doc__ or "", measured_on, reports[name])
    lines = [line for report in reports.values() for line in report.compared]
    console.print(drawn("Ours beside others", list(HEADS), [line.cells() for line in lines]))
    file = options.results or (None if options.small else RESULTS)
    if file is not None:
        results.write(file, list(PARTS), sections)
        for name, report in reports.items():
            if report.svg:
                file.with_name(f"{name}.svg").write_text(report.svg)
        console.print(f"Settings, durability and details: {file}")
    return 1 if options.strict and any(line.held is False for line in lines) else 0


sys.exit(main())

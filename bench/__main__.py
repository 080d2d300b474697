"""``python -m bench``: measure ringlet and its peers, and hold ringlet to its limits.

Contestants take turns, A B C A B C, one round after the other, so a host that slows down or speeds
up does so for all of them; a quotient is made within a round.  Exit status: 0 when all was
measured, whether limits hold or not; 1 when something failed that should have run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench import peers
from bench.rows import ROWS, Figures, Measurement, Row
from bench.sample import BUILD, NotHereError, RunError

FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(
        "Measure ringlet and its peers on the same programs, and hold ringlet to its limits."))
    parser.add_argument("--only", action="append", metavar="NAME", choices=[r.name for r in ROWS],
                        help="measure only this row; may be repeated: " + ", ".join(
                            row.name for row in ROWS))
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="how often each contestant runs (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="write every sample to FILE too")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    BUILD.mkdir(parents=True, exist_ok=True)
    print(_host())
    record: dict[str, object] = {"host": _host(), "versions": peers.versions()}
    status = 0
    verdicts: list[str] = []
    for row in ROWS:
        if options.only and row.name not in options.only:
            continue
        figures, absent, failed = _measure(row, options.rounds * row.turns)
        if failed:
            status = FAILED
        print("\n" + "\n".join(_table(row, figures, absent)))
        lines, kept = _verdicts(row, figures, absent)
        print("\n".join(lines), flush=True)
        verdicts += kept
        record[row.name] = {
            "unit": row.unit, "absent": absent,
            "samples": {name: [asdict(s) for s in samples] for name, samples in figures.items()},
            "limits": [{"text": limit.text, "bound": limit.bound, "values": limit.values(figures)}
                       for limit in row.limits if _has(limit.over, limit.under, figures)]}
    print(f"\n{verdicts.count('PASS')} PASS, {verdicts.count('short')} short, "
          f"{verdicts.count('not measured')} not measured")
    if options.json:
        record["versions"] = peers.versions()  # the peers may have been installed meanwhile
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return status


def _measure(row: Row, rounds: int) -> tuple[Figures, dict[str, str], bool]:
    """Return a row's samples, why contestants are missing, and whether that is a failure."""
    absent: dict[str, str] = {}
    try:
        contestants = row.prepare()
    except NotHereError as reason:
        return {}, {"all": f"not here: {reason}"}, False
    failed = False
    figures: Figures = {name: [] for name in contestants}

    def attempt(name: str, measure: Measurement, keep: bool) -> None:
        nonlocal failed
        try:
            sample = measure()
        except NotHereError as reason:
            absent[name] = f"not here: {reason}"
        except RunError as error:
            absent[name] = f"failed: {error}"
            failed = True
        else:
            if keep:
                figures[name].append(sample)

    # Once for nothing: bytecode, the assembler's cache and the host's page cache.
    for number in range(-1, rounds):
        for name, measure in contestants.items():
            if name not in absent:
                attempt(name, measure, number >= 0)
    return {name: s for name, s in figures.items() if name not in absent}, absent, failed


def _table(row: Row, figures: Figures, absent: dict[str, str]) -> list[str]:
    """Return a row's figures as lines of text."""
    # A child's peak begins with ours, so one that is no higher tells nothing.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (1 << 20)
    lines = [f"{row.name}: {row.title}",
             f"  {'':<12}{'CPU ' + row.shown:>12} {'least':>10} {'wall ' + row.shown:>12}"
             f"   per {row.unit}, medians"]
    for name, samples in figures.items():
        cpu = [sample.cpu / row.scale for sample in samples]
        wall = median(sample.wall for sample in samples) / row.scale
        memory = max(sample.max_rss for sample in samples)
        lines.append(f"  {name:<12}{median(cpu):>12.4g} {min(cpu):>10.4g} {wall:>12.4g}"
                     + (f"   {memory >> 20} MiB" if memory > own else ""))
    return lines + [f"  {name:<12}{reason}" for name, reason in absent.items()]


def _has(over: str, under: str, figures: Figures) -> bool:
    return over in figures and (not under or under in figures)


def _verdicts(row: Row, figures: Figures, absent: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return a line for each limit, and the verdicts alone."""
    lines, verdicts = [], []
    for limit in row.limits:
        if not _has(limit.over, limit.under, figures):
            verdict = "not measured"
            lines.append(f"  {verdict:<13}{limit.text} {limit.bound}")
        else:
            values = limit.values(figures)
            value = median(values)
            verdict = "PASS" if limit.holds(value) else "short"
            lines.append(f"  {verdict:<13}{limit.text}: {value:.3g} {limit.bound}"
                         f"   (rounds {min(values):.3g} to {max(values):.3g})")
        verdicts.append(verdict)
    return lines, verdicts


def _host() -> str:
    """Return the host in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines()
                 if line.startswith("model name")]
        model = names[0] if names else model
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    found = ", ".join(f"{name} {version}" for name, version in peers.versions().items())
    return f"{os.cpu_count()} x {model}, {platform.system()}; load {load}; {found}"


if __name__ == "__main__":
    sys.exit(main())

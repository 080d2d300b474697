"""What taking a snapshot and restoring one take on this host.

``python -m bench.snapshots [PAGES]`` boots, lets a program store to so many pages before each turn
(default 400), and prints medians as JSON, wall and CPU seconds of each: ``take``, a snapshot, which
is not the machine's first; ``restore``, of the one that was taken or restored last, as between two
tests; ``older``, of another one.  ``pages`` is how many a snapshot has that the one before has not,
the kernel's own among them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, TypeVar

from bench.programs import BIN
from emulator.snapshot import Snapshot
from ringlet.session import Session

TURNS: Final = 40
Returned = TypeVar("Returned")


class Stopwatch:
    """Measures calls, by name.

    Attributes:
        figures: wall and CPU seconds of each.
    """

    def __init__(self) -> None:
        self.figures: dict[str, list[tuple[float, float]]] = {}

    def __call__(self, name: str, act: Callable[[], Returned]) -> Returned:
        """Do ``act`` and note what it has taken."""
        wall, cpu = time.perf_counter(), time.process_time()
        returned = act()
        self.figures.setdefault(name, []).append((time.perf_counter() - wall,
                                                  time.process_time() - cpu))
        return returned

    def medians(self) -> dict[str, tuple[float, float]]:
        """Return the median of each."""
        return {name: (median(wall for wall, _ in figures), median(cpu for _, cpu in figures))
                for name, figures in self.figures.items()}


def differing(before: Snapshot, after: Snapshot) -> int:
    """Return how many pages the second snapshot has that are not the first's."""
    return sum(before.pages.get(pa) is not page for pa, page in after.pages.items())


def main(argv: Sequence[str]) -> int:
    """Measure, and print the seconds."""
    program = [str(BIN / "fault_loop"), argv[0] if argv else "400"]
    stopwatch, pages = Stopwatch(), 0
    with Session() as session:
        booted = session.snapshot()
        for _ in range(TURNS):
            session.run(program)
            stopwatch("restore", lambda: session.restore(booted))
            session.run(program)
            taken = stopwatch("take", session.snapshot)
            pages = differing(booted, taken)
            session.run(program)
            stopwatch("older", lambda: session.restore(booted))
    print(json.dumps({"pages": pages, **stopwatch.medians()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

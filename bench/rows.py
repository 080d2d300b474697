"""What is measured and what it is held to: the limits of the project's speed, one row each.

A row runs a program on several contestants.  Its figure for one of them is CPU seconds per unit of
work: where start-up is not the point, the difference of a large run and a small one, divided by the
units between.  A limit compares two figures of the same round; the verdict is on the median of the
rounds' quotients.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bench import peers, programs
from bench.prompt import until_prompt
from bench.sample import NotHereError, Sample, answer, run

# Each returns a sample for one unit of the row's work.
Measurement = Callable[[], Sample]
Figures = dict[str, list[Sample]]


def mebibytes(sample: Sample) -> float:
    """Return the peak memory in MiB."""
    return sample.max_rss / (1 << 20)


def rate(sample: Sample) -> float:
    """Return how many units of work are done in a second."""
    return 1 / sample.cpu


def milliseconds(sample: Sample) -> float:
    """Return the CPU time of a unit."""
    return sample.cpu * 1e3


def wall_seconds(sample: Sample) -> float:
    """Return how long a person waits for a unit."""
    return sample.wall


def microseconds(sample: Sample) -> float:
    """Return the CPU time of a unit."""
    return sample.cpu * 1e6


@dataclass(frozen=True)
class Limit:
    """``over``'s time divided by ``under``'s must be at least, or at most, so much.

    A speed of A in units of B's is B's time over A's.  Without ``under``, the limit is on a
    ``figure`` of ``over``'s alone.
    """

    text: str
    over: str
    under: str = ""
    figure: Callable[[Sample], float] = mebibytes
    at_least: float | None = None
    at_most: float | None = None

    def values(self, figures: Figures) -> list[float]:
        """Return what is compared with the bound, for each round."""
        if not self.under:
            return [self.figure(sample) for sample in figures[self.over]]
        return [over.cpu / under.cpu
                for over, under in zip(figures[self.over], figures[self.under], strict=True)]

    def holds(self, value: float) -> bool:
        """Tell whether a value keeps within the bound."""
        return ((self.at_least is None or value >= self.at_least)
                and (self.at_most is None or value <= self.at_most))

    @property
    def bound(self) -> str:
        """The bound, as people write it."""
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass(frozen=True)
class Row:
    """Something that is measured.

    Attributes:
        name: for the command line.
        unit: what one unit of work is.
        scale: seconds are shown divided by this, with the name ``shown``.
        turns: how often each contestant runs in a round; for what takes no time.
        prepare: builds programs, finds contestants, and returns how to measure each; one that is
            not here raises :class:`NotHereError` when it is asked for.
    """

    name: str
    title: str
    unit: str
    shown: str
    scale: float
    limits: tuple[Limit, ...]
    prepare: Callable[[], dict[str, Measurement]]
    turns: int = 1


CONTESTANTS: Final[dict[str, Callable[[], list[str]]]] = {
    "ringlet": peers.ringlet, "no clock": peers.unclocked, "qemu-user": peers.qemu,
    "Qiling": peers.qiling, "native": peers.native,
}
PROMPT: Final = b"(ringlet) "
COMPUTE_LIMITS: Final = (
    Limit("speed, same engine without hooks = 1", "no clock", "ringlet", at_least=0.65),
    Limit("speed, qemu-user = 1", "qemu-user", "ringlet", at_least=0.4),
    Limit("speed, Qiling = 1", "Qiling", "ringlet", at_least=5),
)


def _missing(reason: NotHereError) -> Measurement:
    def measure() -> Sample:
        raise reason

    return measure


def _slopes(names: tuple[str, ...], small: list[str], large: Callable[[str], list[str]],
            units: Callable[[str], float], expected: dict[str, bytes]) -> dict[str, Measurement]:
    """Return measurements of one unit: a large run less a small one.

    Args:
        names: the contestants.
        small: the program and its arguments for the small run.
        large, units: the same for the large run, and how many units more that is, by contestant.
        expected: what each contestant's large run must print.
    """
    def measure(command: list[str], name: str) -> Sample:
        difference = run([*command, *large(name)], expected.get(name)) - run([*command, *small])
        return difference / units(name)

    measurements: dict[str, Measurement] = {}
    for name in names:
        try:
            command = CONTESTANTS[name]()
        except NotHereError as reason:
            measurements[name] = _missing(reason)
        else:
            measurements[name] = partial(measure, command, name)
    return measurements


def _sieve() -> dict[str, Measurement]:
    once, many = programs.sieve_again(1), programs.sieve_again(101)
    few = programs.sieve_again(21)
    size = "1000000"
    return _slopes(
        tuple(CONTESTANTS), [str(once), size],
        lambda name: [str(few if name == "Qiling" else many), size],
        lambda name: 20 if name == "Qiling" else 100,
        dict.fromkeys(CONTESTANTS, b"78498\n"))


def _sieve_large() -> dict[str, Measurement]:
    sieve = str(programs.from_userland("sieve"))
    return _slopes(tuple(CONTESTANTS), [sieve, "1000"], lambda _: [sieve, "20000000"],
                   lambda _: 1, dict.fromkeys(CONTESTANTS, b"1270607\n"))


def _awk() -> dict[str, Measurement]:
    busybox = str(programs.busybox())
    sizes = {"Qiling": 10_000, "native": 2_000_000}

    def awk(count: int) -> list[str]:
        return [busybox, "awk", "-v", f"N={count}", programs.AWK_LOOP]

    expected = {}
    for name in CONTESTANTS:
        count = sizes.get(name, 150_000)
        try:
            expected[name] = answer([*peers.native(), *awk(count)])
        except NotHereError:
            break
    return _slopes(tuple(CONTESTANTS), awk(1), lambda name: awk(sizes.get(name, 150_000)),
                   lambda name: sizes.get(name, 150_000) - 1, expected)


def _calls(program: Callable[[], Path], ringlets: int) -> dict[str, Measurement]:
    loop = str(program())
    sizes = {"ringlet": ringlets, "Qiling": 30_000, "qemu-user": 3_000_000, "native": 5_000_000}
    return _slopes(tuple(sizes), [loop, "1"], lambda name: [loop, str(sizes[name])],
                   lambda name: sizes[name] - 1,
                   {name: b"%d\n" % size for name, size in sizes.items()})


def _fault() -> dict[str, Measurement]:
    programs.from_userland("fault_loop")
    found: dict[str, float] = {}

    def together() -> Sample:
        # One process measures all of them.
        found.update(json.loads(answer([sys.executable, "-m", "bench.callback", "20000"])))
        return of("fault")

    def of(what: str) -> Sample:
        return Sample(found[what], found[what])

    return {"ringlet": together, "and release": lambda: of("with_release"),
            "first touch": lambda: of("first_touch"), "callback": lambda: of("callback")}


def _hello(program: Callable[[], Path]) -> dict[str, Measurement]:
    hello = str(program())
    measurements: dict[str, Measurement] = {}
    for name in ("ringlet", "Qiling", "qemu-user", "native"):
        try:
            command = CONTESTANTS[name]()
        except NotHereError as reason:
            measurements[name] = _missing(reason)
        else:
            measurements[name] = partial(run, [*command, hello], b"hello, world\n")
    imports = [sys.executable, "-c", "import unicorn, capstone"]
    measurements["imports"] = partial(run, imports, b"")
    return measurements


def _c(name: str) -> Callable[[], Path]:
    """Return how to build a program of ``bench/c``."""
    return lambda: programs.from_c(name)


def _loop(program: Callable[[], Path], *arguments: str, more: float = 1,
          **sizes: int) -> dict[str, Measurement]:
    """Return measurements of one turn of a program that prints how many it has made.

    Args:
        program: builds it.
        arguments: behind the number of turns.
        more: units of work in a turn.
        sizes: turns, by contestant.
    """
    loop = str(program())
    by_name = {"qemu-user" if who == "qemu" else who: size for who, size in sizes.items()}
    return _slopes(tuple(by_name), [loop, "1", *arguments],
                   lambda who: [loop, str(by_name[who]), *arguments],
                   lambda who: more * (by_name[who] - 1),
                   {who: b"%d\n" % size for who, size in by_name.items()})


def _fork_large() -> dict[str, Measurement]:
    return {f"{name}, {mib} MiB": measure for mib in (1, 64) for name, measure in _loop(
        _c("fork_loop"), str(mib), ringlet=300, qemu=150, native=500).items()}


def _callback() -> Sample:
    seconds = json.loads(answer([sys.executable, "-m", "bench.callback"]))["callback"]
    return Sample(seconds, seconds)


def _cow() -> dict[str, Measurement]:
    return {**_loop(_c("cow_loop"), more=1024, ringlet=101, qemu=101, native=201),
            "callback": _callback}


def _signal() -> dict[str, Measurement]:
    return {**_loop(_c("signal_loop"), ringlet=20_001, qemu=20_001, native=200_001),
            "callback": _callback}


def _snapshot() -> dict[str, Measurement]:
    programs.from_userland("fault_loop")
    found: dict[str, tuple[float, float]] = {}

    def together() -> Sample:
        # One process measures all of them.
        found.update(json.loads(answer([sys.executable, "-m", "bench.snapshots", "400"])))
        return Sample(*found["take"])

    return {"take": together, "restore": lambda: Sample(*found["restore"]),
            "older": lambda: Sample(*found["older"])}


def _prompt() -> dict[str, Measurement]:
    debug = [*peers.ringlet()[:-1], "debug"]
    measurements: dict[str, Measurement] = {
        "assembly": partial(until_prompt, [*debug, programs.from_userland("hello")], PROMPT)}
    try:
        measurements["glibc"] = partial(until_prompt, [*debug, programs.from_c("hello_glibc")],
                                        PROMPT)
    except NotHereError as reason:
        measurements["glibc"] = _missing(reason)
    return measurements


HELLO_LIMITS: Final = (
    Limit("time, Qiling's = 1", "ringlet", "Qiling", at_most=0.6),
    Limit("time, python -c 'import unicorn, capstone' = 1", "ringlet", "imports", at_most=3),
    Limit("peak memory in MiB", "ringlet", at_most=120),
)

ROWS: Final = (
    Row("sieve", "sieve of 1 MB, struck again and again", "sieve", "ms", 1e-3, COMPUTE_LIMITS,
        _sieve),
    Row("sieve-large", "sieve of 20 MB once, with its page faults", "sieve", "ms", 1e-3,
        COMPUTE_LIMITS, _sieve_large),
    Row("awk", "busybox awk, floating point and branches", "iteration", "µs", 1e-6, COMPUTE_LIMITS,
        _awk),
    Row("hosted", "a system call answered by the hosted kernel: getppid", "call", "µs", 1e-6,
        (Limit("rate, Qiling's = 1", "Qiling", "ringlet", at_least=12),),
        lambda: _calls(programs.getppid_loop, 300_000)),
    Row("assembly", "a system call answered in guest assembly: getpid", "call", "µs", 1e-6,
        (Limit("rate, qemu-user's = 1", "qemu-user", "ringlet", at_least=0.7),),
        lambda: _calls(lambda: programs.from_userland("getpid_loop"), 3_000_000)),
    Row("fault", "a demand-zero fault, in empty Python callbacks of the engine", "fault", "µs",
        1e-6, (Limit("time, an empty callback = 1", "ringlet", "callback", at_most=20),), _fault),
    Row("hello-asm", "ringlet run of a hello in assembly", "run", "ms", 1e-3, HELLO_LIMITS,
        lambda: _hello(lambda: programs.from_userland("hello")), turns=4),
    Row("hello-glibc", "ringlet run of a static hello in C, with glibc", "run", "ms", 1e-3,
        HELLO_LIMITS, lambda: _hello(lambda: programs.from_c("hello_glibc")), turns=4),
    Row("fork", "fork, exit and wait", "child", "µs", 1e-6,
        (Limit("rate, Qiling's = 1", "Qiling", "ringlet", at_least=15),
         Limit("rate, qemu-user's = 1", "qemu-user", "ringlet", at_least=1.5)),
        lambda: _loop(_c("fork_loop"), "0", ringlet=400, qemu=800, Qiling=60, native=3000)),
    Row("fork-large", "the same, with memory written before", "child", "µs", 1e-6,
        (Limit("time with 64 MiB, with 1 MiB = 1", "ringlet, 64 MiB", "ringlet, 1 MiB",
               at_most=2),), _fork_large),
    Row("cow", "a child writes a byte in each page of 4 MiB", "page", "µs", 1e-6,
        (Limit("time, an empty callback = 1", "ringlet", "callback", at_most=16.7),), _cow),
    Row("exec", "a static program executes itself", "exec", "µs", 1e-6,
        (Limit("execs in a second", "ringlet", figure=rate, at_least=1000),),
        lambda: _loop(lambda: programs.from_userland("exec_loop"), ringlet=301, qemu=101,
                      native=2001)),
    Row("exec-glibc", "the same in C, with what glibc does at its start", "exec", "µs", 1e-6, (),
        lambda: _loop(_c("exec_loop_c"), ringlet=201, qemu=101, native=1001)),
    Row("switch", "two processes give the CPU to each other by sched_yield", "switch", "µs", 1e-6,
        (Limit("µs", "ringlet", figure=microseconds, at_most=15),),
        lambda: _loop(_c("yield_loop_c"), more=2, ringlet=5001, qemu=20001, native=100001)),
    Row("signal", "a signal to oneself: kill, the handler, sigreturn", "signal", "µs", 1e-6,
        (Limit("time, an empty callback = 1", "ringlet", "callback", at_most=55),), _signal),
    Row("snapshot", "a snapshot of a booted machine, 400 pages stored to since the last",
        "snapshot", "ms", 1e-3,
        (Limit("ms to take it", "take", figure=milliseconds, at_most=5),
         Limit("ms to restore it", "restore", figure=milliseconds, at_most=5),
         Limit("ms to restore an older one", "older", figure=milliseconds, at_most=5)),
        _snapshot),
    Row("debug", "ringlet debug of a hello, until its prompt is in the terminal", "start", "ms",
        1e-3,
        (Limit("wall seconds, assembly", "assembly", figure=wall_seconds, at_most=0.7),
         Limit("wall seconds, C with glibc", "glibc", figure=wall_seconds, at_most=0.7)),
        _prompt, turns=4),
)

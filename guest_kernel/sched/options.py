"""The kernel's options sched= and quantum=: who schedules the tasks that are not real-time.

``sched=NAME`` names one of :data:`POLICIES`; ``mlfq`` takes options of its own behind commas, as
``sched=mlfq,queues=3,allotment=8ms,boost=100ms``.  ``quantum=TIME`` is the length of a turn.  A
time is a number of nanoseconds, or has a suffix: 250, 10us, 4ms, 1s.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from guest_kernel.layout.sched import FAIR_SCHED_CLASS, NR_OSTEP_QUEUES, OSTEP_SCHED_CLASS
from guest_kernel.time.hrtimer import TICK_NSEC

# Names, and their *_SCHED_CLASS.
POLICIES: Final = {name: OSTEP_SCHED_CLASS + index for index, name in enumerate((
    "fifo", "sjf", "stcf", "rr", "mlfq", "lottery", "stride"))} | {"fair": FAIR_SCHED_CLASS}
_WITHOUT_TURNS: Final = ("fifo", "sjf", "stcf")

MIN_QUANTUM: Final = 50
MAX_TIME: Final = 1000 * 10**9
_UNITS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}


class Options(NamedTuple):
    """What the options say.

    Attributes:
        policy: a name of :data:`POLICIES`.
        quantum: ns.
        queues: mlfq: how many.
        allotment: mlfq: ns that a task may use at a level before it sinks.
        boost: mlfq: ns after which all tasks rise to the topmost queue; 0: they never do.
    """

    policy: str = "fair"
    quantum: int = TICK_NSEC
    queues: int = 3
    allotment: int = TICK_NSEC
    boost: int = 25 * TICK_NSEC


def parse_time(text: str) -> int:
    """Return a time in ns.

    Raises:
        ValueError: it is none, or is more than 1000 s.
    """
    digits = text.rstrip("nums")
    unit = text[len(digits) :] or "ns"
    if not digits.isascii() or not digits.isdigit() or unit not in _UNITS:
        raise ValueError(f"{text!r} is not a time such as 4ms")
    value = int(digits) * _UNITS[unit]
    if value > MAX_TIME:
        raise ValueError(f"{text!r} is more than 1000 s")
    return value


def parse(sched: str = "fair", quantum: str | None = None) -> Options:
    """Return what the two options say.

    Raises:
        ValueError: they cannot be understood, or do not fit together.
    """
    name, *words = sched.split(",")
    if name not in POLICIES:
        raise ValueError(f"{name!r} is no scheduling policy: choose from "
                         f"{', '.join(sorted(POLICIES))}")
    options = Options(policy=name)
    if quantum is not None:
        if name in _WITHOUT_TURNS:
            raise ValueError(f"{name} has no quantum: a task runs as long as it likes")
        turn = parse_time(quantum)
        if turn < MIN_QUANTUM:
            raise ValueError(f"{quantum!r} is less than {MIN_QUANTUM} ns")
        options = options._replace(quantum=turn, allotment=turn)
    for word in words:
        key, equals, value = word.partition("=")
        if name != "mlfq" or not equals or key not in ("queues", "allotment", "boost"):
            raise ValueError(f"{name} has no option {word!r}")
        options = _with(options, key, value)
    return options


def _with(options: Options, key: str, value: str) -> Options:
    if key == "queues":
        if not value.isdigit() or not 1 <= int(value) <= NR_OSTEP_QUEUES:
            raise ValueError(f"{value!r} is not a number of queues, 1 to {NR_OSTEP_QUEUES}")
        return options._replace(queues=int(value))
    if key == "boost":
        return options._replace(boost=parse_time(value))
    allotment = parse_time(value)
    if allotment < MIN_QUANTUM:
        raise ValueError(f"{value!r} is less than {MIN_QUANTUM} ns")
    return options._replace(allotment=allotment)

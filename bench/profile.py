"""Where the time of a program goes: ``python -m bench.profile [--how] PROGRAM [ARGUMENT...]``.

``--calls``      (default) time and number of each host call: system calls by name, exceptions by
                 vector; the rest is the engine's and the guest's own.
``--functions``  Python functions by their own time, under cProfile, which doubles the cost of a
                 call; for shares, not for microseconds.
``--start``      the stages of ``ringlet run``, from the first import to the end.
``--perf``       the engine's functions and the code that it generates, by perf(1).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import peers
from bench.sample import ROOT, environment

TOP = 30  # lines of a list

# Run in a process of its own, with nothing imported: prints the stages.
_STAGES = """\
import sys, time
last = time.process_time_ns()
print(f"{last / 1e6:8.1f} ms  the interpreter itself")
def stage(name):
    global last
    now = time.process_time_ns()
    print(f"{(now - last) / 1e6:8.1f} ms  {name}")
    last = time.process_time_ns()
import ringlet.__main__, ringlet.run
from ringlet.session import Session, root, check_program
stage("imports")
from emulator.machine import Machine
Machine().close()
stage("a machine of 256 MiB, made and closed (not part of the sum)")
root.base()
stage("root file system, from the cache (not part of the sum)")
from guest_kernel import image
image.build()
stage("kernel image, from the cache (not part of the sum)")
session = Session()
stage("machine, root file system, image and boot")
result = session.run(sys.argv[1:])
stage("the program")
session.close()
stage("closing")
"""


def calls(argv: list[str]) -> None:
    """Print what each kind of host call has taken."""
    from emulator.arch.exceptions import Vector
    from guest_kernel.layout.declare import PHYSICAL_MASK
    from guest_kernel.layout.hostcall import HostCall
    from guest_kernel.layout.ptrace import pt_regs
    from guest_kernel.layout.sched import pcpu_hot
    from guest_kernel.syscall_table import load
    from ringlet.session import Session

    names = {row.number: row.name for row in load()}
    taken: dict[str, list[int]] = {}
    with Session() as session:
        k, call = session.kernel.k, session.machine.host_call
        assert call is not None
        cpu = k.data(pcpu_hot)
        orig_ax = pt_regs.offsetof("orig_ax") - pt_regs.size

        def kind(value: int) -> str:
            if value == HostCall.SYSCALL:
                nr = k.u64[(cpu.top_of_stack + orig_ax & PHYSICAL_MASK) >> 3]
                return names.get(nr, f"system call {nr}")
            if value & 0xFF == HostCall.EXCEPTION:
                vector = value >> 8
                known = vector in Vector._value2member_map_
                return f"#{Vector(vector).name}" if known else f"vector {vector}"
            return HostCall(value).name.lower()

        def timed(value: int) -> None:
            name = kind(value)
            start = time.perf_counter_ns()
            try:
                call(value)
            finally:
                taken.setdefault(name, []).append(time.perf_counter_ns() - start)

        start = time.perf_counter_ns()
        session.run(argv)
        bare = time.perf_counter_ns() - start
        session.machine.host_call = timed
        start = time.perf_counter_ns()
        result = session.run(argv)
        whole = time.perf_counter_ns() - start
    hosted = sum(map(sum, taken.values()))
    print(f"{bare / 1e6:10.1f} ms  first run, not timed inside\n"
          f"{whole / 1e6:10.1f} ms  second run, of these\n{hosted / 1e6:10.1f} ms  in host calls:\n"
          f"{'ms':>10} {'calls':>9} {'median µs':>10} {'mean µs':>9}")
    for name, times in sorted(taken.items(), key=lambda item: -sum(item[1])):
        middle = sorted(times)[len(times) // 2]
        print(f"{sum(times) / 1e6:10.2f} {len(times):>9} {middle / 1e3:>10.2f} "
              f"{sum(times) / len(times) / 1e3:>9.2f}  {name}")
    print(f"\nstatus {result.status}\n{result.statistics.as_text()}", end="")


def functions(argv: list[str]) -> None:
    """Print the Python functions that take most, by their own time."""
    from ringlet.session import Session

    profiler = cProfile.Profile()
    with Session() as session:
        session.run(argv)
        profiler.enable()
        session.run(argv)
        profiler.disable()
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(TOP)


def start(argv: list[str]) -> None:
    """Print the stages of a run and the imports that take longest."""
    command = [sys.executable, "-X", "importtime", "-c", _STAGES, *argv]
    for _ in range(2):  # the first time fills the caches
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT,
                              env=environment(), check=True)
    print(done.stdout)
    imports = []
    for line in done.stderr.splitlines():
        own, _, name = line.removeprefix("import time:").split("|", 2)
        if own.strip().isdigit():
            imports.append((int(own), name.strip()))
    print(f"imports by their own time, of {len(imports)} in "
          f"{sum(own for own, _ in imports) / 1e3:.1f} ms (timing them costs, too):")
    for taken, name in sorted(imports, reverse=True)[:TOP]:
        print(f"{taken / 1e3:8.2f} ms  {name}")


def perf(argv: list[str]) -> int:
    """Record a run with perf(1) and print where the samples lie."""
    if not shutil.which("perf"):
        print("bench.profile: no perf on the PATH (Debian: apt install linux-perf)",
              file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "perf.data")
        done = subprocess.run(["perf", "record", "--quiet", "-o", data, *peers.ringlet(), *argv],
                              cwd=ROOT, env=environment(), check=False)
        if done.returncode:
            return done.returncode
        for key in ("dso", "dso,symbol"):
            report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--sort", key],
                                    capture_output=True, text=True, check=False)
            lines = [line for line in report.stdout.splitlines() if line.strip() and line[0] != "#"]
            print("\n".join(lines[:TOP]) + "\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Profile what the command line asks for."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    how = parser.add_mutually_exclusive_group()
    for action in (calls, functions, start, perf):
        how.add_argument(f"--{action.__name__}", dest="action", action="store_const", const=action,
                         help=argparse.SUPPRESS)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT")
    options = parser.parse_args(argv)
    action = options.action or calls
    status: int | None = action([options.program, *options.arguments])
    return status or 0


if __name__ == "__main__":
    sys.exit(main())

"""C programs behave in the guest as on the host, whichever library they are built with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringlet.testing import Guest
from tests.guest import compile_c
from tests.programs.debian import program

SOURCES = sorted((Path(__file__).parent / "c").glob("*.c"))
BUILDS = {
    "glibc": ("gcc", []),
    "glibc-pie": ("gcc", ["-static-pie", "-fPIE"]),
    "glibc-O3": ("gcc", ["-O3"]),
    "musl": ("musl", []),
    "musl-pie": ("musl", ["-static-pie", "-fPIE"]),
}


@pytest.mark.native
@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_c_program_prints_what_it_prints_natively(guest: Guest, source: Path, build: str) -> None:
    """Does the same binary do the same in both worlds?"""
    compiler, flags = BUILDS[build]
    path = compile_c(source, *flags, "-lm",
                     compiler="gcc" if compiler == "gcc" else str(program("musl-gcc")))
    guest(path, "one", "two words")

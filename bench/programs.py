"""The guest programs that are measured, in ``build/bench/root/bin``.

All contestants run the same files; the folder is also the root directory that Qiling asks for.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.sample import BUILD, ROOT, NotHereError
from tests.programs import fetch
from userland.assembler import assemble_program

BIN: Final = BUILD / "root" / "bin"
ASM: Final = ROOT / "userland" / "asm"
C: Final = ROOT / "bench" / "c"

# Branches, floating point and what an interpreter does with memory.
AWK_LOOP: Final = (
    "BEGIN { x = 0.5; s = 0; n = 0;"
    " for (i = 1; i <= N; i++) { x = 3.75 * x * (1 - x);"
    " if (x > 0.5) { s += x / i; n++ } else if (i % 3 == 0) s -= x / 3; else s += 1 / i }"
    ' printf "%.6f %d\\n", s, n }'
)

# sieve.asm does its work R12 times instead of once; the array is struck after
# the first time, so each further time does the same work without a page fault.
_SIEVE_ONCE: Final = """\
    call strike_composites
    call count_primes
"""
_SIEVE_AGAIN: Final = """\
    mov r14d, {times}
sieve_again:
    call strike_composites
    call count_primes
    dec r14d
    jnz sieve_again
"""


def from_userland(name: str) -> Path:
    """Return an assembly program of ``userland/asm``."""
    return _assemble(ASM / f"{name}.asm", BIN / name)


def sieve_again(times: int) -> Path:
    """Return sieve with its work done ``times`` times over the same array."""
    return _variant("sieve", f"sieve_{times}", _SIEVE_ONCE, _SIEVE_AGAIN.format(times=times))


def getppid_loop() -> Path:
    """Return getpid_loop with getppid in place of getpid: as trivial, and answered by the host."""
    return _variant("getpid_loop", "getppid_loop", "__NR_getpid\n", "__NR_getppid\n")


def _variant(original: str, name: str, old: str, new: str) -> Path:
    """Return a program of ``userland/asm`` with one piece of text replaced."""
    text = (ASM / f"{original}.asm").read_text()
    if text.count(old) != 1:
        raise ValueError(f"{original}.asm: {old!r} is there {text.count(old)} times, not once")
    sources = BUILD / "asm"
    sources.mkdir(parents=True, exist_ok=True)
    for included in ASM.glob("*.inc"):
        shutil.copy(included, sources)
    source = sources / f"{name}.asm"
    source.write_text(text.replace(old, new))
    return _assemble(source, BIN / name)


def _assemble(source: Path, program: Path) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_bytes(assemble_program(source))
    program.chmod(0o755)
    return program


def busybox() -> Path:
    """Return Debian's busybox.

    Raises:
        NotHereError: it cannot be fetched.
    """
    fetched = fetch.PROGRAMS["busybox"]
    if not fetched.is_file():
        try:
            fetch.fetch()
        except (fetch.FetchError, fetch.NotHereError) as error:
            raise NotHereError(f"busybox: {error}") from error
    BIN.mkdir(parents=True, exist_ok=True)
    shutil.copy(fetched, BIN / "busybox")
    return BIN / "busybox"


def from_c(name: str) -> Path:
    """Return a program of ``bench/c``, static with the host's libc.

    Raises:
        NotHereError: no gcc, or no static libc.
    """
    if not shutil.which("gcc"):
        raise NotHereError(f"{name} in C: no gcc")
    BIN.mkdir(parents=True, exist_ok=True)
    program = BIN / name
    done = subprocess.run(["gcc", "-O2", "-static", "-o", str(program), str(C / f"{name}.c")],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHereError(f"{name} in C: gcc -static: {done.stderr.strip().splitlines()[-1]}")
    return program

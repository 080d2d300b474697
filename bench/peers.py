"""The peers, installed below ``build/bench`` beside the project, never into it.

Qiling gets a virtual environment of its own, with the interpreter and the version of Unicorn that
ringlet has, so that both run on the same engine (Qiling 1.4.6 asks for unicorn >= 2.0.1 only).
qemu-user is taken out of Debian's package.  Native is the host, if it is x86-64 Linux.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.sample import BUILD, NotHereError, environment
from tests.programs import fetch

QILING_VERSION: Final = "1.4.6"
QILING: Final = BUILD / "qiling"
QILING_PYTHON: Final = QILING / "bin" / "python"
QILING_RUN: Final = Path(__file__).absolute().with_name("qiling_run.py")
QEMU: Final = BUILD / "qemu-x86_64"

# Package, and the program in it: newer Debian releases have moved it.
_QEMU_PACKAGES: Final = (
    ("qemu-user-static", "usr/bin/qemu-x86_64-static"), ("qemu-user", "usr/bin/qemu-x86_64"),
)


def qiling() -> list[str]:
    """Return the words that put a program under Qiling.

    Raises:
        NotHereError: pip cannot install it.
    """
    unicorn = importlib.metadata.version("unicorn")
    stamp = QILING / ".stamp"
    # As in the Makefile: an environment that came along with a copy is made again.
    mark = f"qiling {QILING_VERSION} unicorn {unicorn} python {sys.version} {QILING}"
    if not stamp.is_file() or stamp.read_text() != mark:
        print(f"bench: installing Qiling {QILING_VERSION} into {QILING}", file=sys.stderr)
        # The environment's own interpreter would make one that depends on it.
        python: str = getattr(sys, "_base_executable", sys.executable)
        _install([python, "-m", "venv", "--clear", str(QILING)])
        _install([str(QILING_PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet",
                  "install", f"qiling=={QILING_VERSION}", f"unicorn=={unicorn}"])
        stamp.write_text(mark)
    return [str(QILING_PYTHON), str(QILING_RUN), str(BUILD / "root")]


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "WARNING" not in line]
        raise NotHereError(f"Qiling: {lines[-1] if lines else 'pip failed'}")


def qemu() -> list[str]:
    """Return the words that put a program under qemu-user.

    Raises:
        NotHereError: no apt, no mirror, or no such package.
    """
    if not QEMU.is_file():
        for tool in ("apt-get", "dpkg-deb"):
            if not shutil.which(tool):
                raise NotHereError(f"qemu-user: no {tool}")
        print(f"bench: fetching qemu-user into {QEMU}", file=sys.stderr)
        for package, path in _QEMU_PACKAGES:
            if _extract(package, path):
                break
        else:
            raise NotHereError("qemu-user: not in Debian's packages under a name known here")
    return [str(QEMU)]


def _extract(package: str, path: str) -> bool:
    """Download a package and take one program out of it; tell whether it was there."""
    unpacked = BUILD / "unpacked"
    try:
        archive, = fetch.download([package])
        done = subprocess.run(["dpkg-deb", "--extract", str(archive), str(unpacked)],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHereError(f"qemu-user: {done.stderr.strip()}")
        place = unpacked / path
        if place.is_symlink() or not place.is_file():
            return False
        place.rename(QEMU)
        return True
    except (fetch.FetchError, fetch.NotHereError) as error:
        raise NotHereError(f"qemu-user: {error}") from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(fetch.APT, ignore_errors=True)


def native() -> list[str]:
    """Return the words that put a program on the host: none.

    Raises:
        NotHereError: the host is not x86-64 Linux.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NotHereError("native: the host is not x86-64 Linux")
    return []


def ringlet() -> list[str]:
    """Return the words that put a program on ringlet: the console script, where it is installed."""
    script = Path(sys.executable).with_name("ringlet")
    return [str(script), "run"] if script.is_file() else [sys.executable, "-m", "ringlet", "run"]


def unclocked() -> list[str]:
    """Return the words that put a program on ringlet's engine without the clock's hook."""
    return [sys.executable, "-m", "bench.unclocked"]


def versions() -> dict[str, str]:
    """Return what was compared, by name."""
    def installed(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    found = {"Python": platform.python_version(), "Unicorn": installed("unicorn"),
             "Keystone": installed("keystone-engine"), "Qiling": QILING_VERSION}
    if QEMU.is_file():
        done = subprocess.run([str(QEMU), "--version"], capture_output=True, text=True, check=False)
        found["qemu-user"] = done.stdout.split("version ")[-1].split(" ")[0].strip()
    return found

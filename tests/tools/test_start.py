"""What ``ringlet run`` does without, so that a small program starts at once."""

from __future__ import annotations

import subprocess
import sys

from tests.guest import ROOT, userland

# Each takes as long to import as several files of ours, or more.
HEAVY = {
    "argparse", "ast", "asyncio", "capstone", "dataclasses", "datetime", "dis", "elftools",
    "gettext", "hashlib", "inspect", "json", "keystone", "locale", "logging", "pathlib", "pdb",
    "pickle", "pkg_resources", "random", "shutil", "signal", "socket", "subprocess", "tempfile",
    "textwrap", "threading", "traceback", "unicorn", "urllib",
}

SCRIPT = """\
import sys
before = set(sys.modules)
from ringlet.__main__ import main
status = main(sys.argv[1:])
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}), file=sys.stderr)
sys.exit(status)
"""


def _imported(*arguments: str) -> set[str]:
    """Run the command line; return the packages and modules that this took."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True,
                          text=True, cwd=ROOT, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "hello, world\n"), done.stderr
    return set(done.stderr.split())


def test_a_run_imports_no_heavy_module() -> None:
    """With everything in the cache, does a run do without what takes long to import?"""
    _imported("run", str(userland("hello")))  # fills the cache, for which Keystone may be needed
    assert _imported("run", str(userland("hello"))) & HEAVY == set()


def test_options_cost_the_parser_and_no_more() -> None:
    """Does an option bring in argparse, and still nothing that the run has no use for?"""
    imported = _imported("run", "--seed", "1", str(userland("hello")))
    assert imported & HEAVY <= {"argparse", "gettext", "locale", "shutil"}


def test_output_is_complete_though_nothing_is_taken_apart() -> None:
    """Is all that ringlet itself writes there when the process leaves?"""
    done = subprocess.run([sys.executable, "-m", "ringlet", "syscalls"], capture_output=True,
                          cwd=ROOT, timeout=120, check=True)
    assert done.stdout.decode().splitlines()[-1].endswith(" absent")

"""Programs that need a dynamic linker, with the host's put into the guest."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from ringlet.session import Session

HELLO = '#include <stdio.h>\nint main(int c, char **v) { return printf("%s\\n", v[1]) != 6; }\n'


def test_program_with_a_shared_library_runs(session: Session, tmp_path: Path) -> None:
    """Does a program find its library through the linker that it names?

    Bad: the linker, which takes memory from behind its .bss, finds there what its file holds.
    """
    program = tmp_path / "hello"
    subprocess.run(["gcc", "-x", "c", "-o", program, "-"], input=HELLO, text=True, check=True)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    for library in libraries:
        session.install(library, Path(library).read_bytes(), 0o755)
    result = session.run([str(program), "hello"], timeout=10)
    assert (result.status, result.output) == (0, b"hello\n")

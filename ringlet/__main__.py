"""The command line: ``ringlet run``, ``shell``, ``syscalls``, ``demo``, ``layout``.

Exit status of ``run``: the program's; 128 + N if signal N killed it; 124 on a timeout; and, as
docker-run(1) has them, 125 if ringlet itself fails, 126 if the program cannot be executed, 127 if
it is not there.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        status = _command(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Nobody reads any more; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED


def _command(words: list[str]) -> int:
    # Without an option there is nothing to parse, and argparse takes as long as a small program.
    if words[:1] == ["run"] and len(words) > 1 and not words[1].startswith("-"):
        from ringlet.run import Options, run

        return run(Options(program=words[1], arguments=words[2:]))
    from ringlet.arguments import execute

    return execute(words)


def script() -> NoReturn:
    """Be the program ``ringlet``: run the command line and leave.

    What is made on the way to a program stays until the end, so nothing of it need be looked
    through for garbage, and nothing is taken apart: that would take as long as a small program.
    """
    gc.disable()
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    script()

"""Signal numbers of Linux x86-64.  See signal(7)."""

from typing import Final

SIGILL: Final = 4
SIGTRAP: Final = 5
SIGBUS: Final = 7
SIGFPE: Final = 8
SIGKILL: Final = 9
SIGSEGV: Final = 11

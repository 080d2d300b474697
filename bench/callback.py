"""What an empty callback into Python costs on this host, and one demand-zero fault beside it.

``python -m bench.callback [PAGES]`` prints seconds of CPU as JSON: ``callback``, for one empty hook
of the Unicorn binding; and with PAGES ``fault``, for one first write to an anonymous page whose
frame the host already backs; ``with_release``, the same with what giving the page back at exit
takes; ``first_touch``, as ``fault``, when the host, too, has to find a page.  All in one process,
one after the other, so that one can be divided by the other.

The hook is on SYSCALL or on OUT, whichever is cheaper.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from bench.programs import BIN
from emulator.arch.paging import PAGE_SIZE
from ringlet.session import Session

# The binding, which has no types of use.
unicorn: Final[Any] = import_module("unicorn")
x86_const: Final[Any] = import_module("unicorn.x86_const")

CALLS: Final = 200_000
CODE: Final = 0x1000
FEW: Final = 16  # pages: a run of the program that hardly faults

# mov r12d, CALLS; again: <instruction>; dec r12d; jnz again; hlt
_LOOP: Final = b"\x41\xbc" + CALLS.to_bytes(4, "little") + b"%b\x41\xff\xcc\x75%b\xf4"
_SYSCALL: Final = b"\x0f\x05"
_OUT: Final = b"\xe6\xf0"  # out 0xf0, al


def callback_seconds(instruction: bytes, number: int, hook: Callable[..., None]) -> float:
    """Return the CPU seconds of one call of ``hook`` for ``instruction``."""
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, 0x10000, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    back = -(len(instruction) + 3 + 2) & 0xFF
    code = _LOOP % (instruction, bytes((back,)))
    uc.mem_write(CODE, code)
    uc.hook_add(unicorn.UC_HOOK_INSN, hook, None, 1, 0, number)
    start = time.process_time()
    uc.emu_start(CODE, CODE + len(code) - 1)
    return (time.process_time() - start) / CALLS


def empty_callback() -> float:
    """Return the CPU seconds of an empty callback: the cheaper of two kinds, the best of two."""
    def on_syscall(_uc: object, _data: object) -> None:
        pass

    def on_out(_uc: object, _port: int, _size: int, _value: int, _data: object) -> None:
        pass

    return min(min(callback_seconds(_SYSCALL, x86_const.UC_X86_INS_SYSCALL, on_syscall),
                   callback_seconds(_OUT, x86_const.UC_X86_INS_OUT, on_out)) for _ in range(2))


class FaultLoop:
    """A machine on which fault_loop is run, and when that prints: after the last of its faults."""

    def __init__(self) -> None:
        self._printed = b""
        self._printed_at = 0.0
        self.session = Session(output=self._print)

    def _print(self, data: bytes) -> None:
        if not self._printed:
            self._printed_at = time.process_time()
        self._printed += data

    def seconds(self, pages: int) -> tuple[float, float]:
        """Return the CPU seconds of one fault, without and with the page's release at exit.

        From two runs, one with few pages and one with many.
        """
        faults, runs = [], []
        for count in (FEW, pages):
            self._printed = b""
            start = time.process_time()
            result = self.session.run([str(BIN / "fault_loop"), str(count)])
            runs.append(time.process_time() - start)
            faults.append(self._printed_at - start)
            if self._printed != b"%d\n" % count or result.statistics.faults["anonymous"] < count:
                raise RuntimeError(f"fault_loop {count} printed {self._printed!r}: {result}")
        more = pages - FEW
        return (faults[1] - faults[0]) / more, (runs[1] - runs[0]) / more


def back_all(session: Session) -> None:
    """Make the host back each frame of the machine's RAM, without changing a byte."""
    u64 = session.machine.ram.u64
    for index in range(0, session.machine.ram.size >> 3, PAGE_SIZE >> 3):
        u64[index] = u64[index]


def main(argv: Sequence[str]) -> int:
    """Measure, and print the seconds."""
    gc.collect()
    callback = empty_callback()
    if not argv:
        print(json.dumps({"callback": callback}))
        return 0
    pages = int(argv[0])
    loop = FaultLoop()
    first, _ = loop.seconds(pages)
    loop.session.close()
    loop = FaultLoop()
    back_all(loop.session)
    loop.seconds(pages // 4)  # warm: the interpreter has specialised the handlers
    steady, with_release = loop.seconds(pages)
    loop.session.close()
    print(json.dumps({"callback": min(callback, empty_callback()), "fault": steady,
                      "with_release": with_release, "first_touch": first}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""ringlet without its clock: ``python -m bench.unclocked PROGRAM [ARGUMENT...]``.

The yardstick for guest compute: the same engine, kernel, paging and NX data, but no hook at the
start of each block, so virtual time stands still and no timer fires.  Everything else is the same,
and so is what a program prints, unless it asks for the time.

Only SYSCALL looks at the block that it ends, for its own length; here that is taken to be 2, as it
is in every program but a hostile one.  That costs this machine a microsecond for each system call,
of which programs that compute make few.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_uint64, c_void_p, cast
from typing import Any
from unittest import mock

from emulator.cpu import binding, control
from ringlet.session import Session

# Each exception that is delivered moves the clock by 1; a block moves it by its size.
STANDS_STILL = 1 << 20
SYSCALL_SIZE = 2


def _with_its_block(on_syscall: Any) -> Any:
    """Return the SYSCALL hook, called when the control block says where the block ends."""
    hook = binding.SYSCALL_HOOK(on_syscall) if isinstance(on_syscall, int) else on_syscall
    rip = c_uint64()

    def shown(uc: int, data: int) -> None:
        binding.lib.uc_reg_read(uc, binding.REGISTERS["rip"], byref(rip))
        words = cast(c_void_p(data), POINTER(c_uint64))
        words[control.BLOCK_START >> 3] = rip.value
        words[control.BLOCK_SIZE >> 3] = SYSCALL_SIZE
        hook(uc, data)
        words[control.BLOCK_SIZE >> 3] = 0

    return binding.SYSCALL_HOOK(shown)


@contextmanager
def without_block_hook() -> Iterator[None]:
    """Machines that are made and run meanwhile get every hook but the one on blocks."""
    hook_add = binding.hook_add
    kept = []

    def all_but_blocks(uc: c_void_p, kind: int, callback: Any, user_data: int = 0,
                       instruction: int | None = None) -> int:
        if kind == binding.UC_HOOK_BLOCK:
            return 0
        if instruction == binding.UC_X86_INS_SYSCALL:
            callback = _with_its_block(callback)
            kept.append(callback)
        return hook_add(uc, kind, callback, user_data, instruction)

    with mock.patch.object(binding, "hook_add", all_but_blocks):
        yield


def main(argv: list[str]) -> int:
    """Run a program without a clock; return its status."""
    with without_block_hook(), Session() as session:
        result = session.run(argv)
        sys.stdout.buffer.write(result.output)
        if session.machine.clock > STANDS_STILL:
            print("bench.unclocked: the clock runs: this is no yardstick", file=sys.stderr)
            return 1
        return result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

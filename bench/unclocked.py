"""ringlet without a clock for programs: ``python -m bench.unclocked PROGRAM [ARGUMENT...]``.

The yardstick for guest compute: the same engine, kernel, paging and NX data, but the hook at the
start of each block is for the kernel's half of the addresses only, so a program runs without any
hook, and while it does, time stands still and no timer fires.  Everything else is the same, and so
is what a program prints, unless it asks for the time.

Besides time, SYSCALL wants to know the block that it ends, for its own length; here that is taken
to be 2, as it is in every program but a hostile one.  Saying so costs this machine a microsecond
for each system call, of which programs that compute make few.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_int, c_size_t, c_uint64, c_void_p, cast
from typing import Any
from unittest import mock

from emulator.cpu import binding, control
from ringlet.session import Session

KERNEL_HALF = 1 << 63
LAST_ADDRESS = (1 << 64) - 1
# The kernel's own code bytes, for some thousand page faults; a program that computes has more.
STANDS_STILL = 1 << 24
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


def _hook_kernel_blocks(uc: c_void_p, callback: Any, user_data: int) -> int:
    handle = c_size_t()
    pointer = c_void_p(callback) if isinstance(callback, int) else callback
    binding.check(binding.lib.uc_hook_add(
        uc, byref(handle), c_int(binding.UC_HOOK_BLOCK), pointer, c_void_p(user_data),
        c_uint64(KERNEL_HALF), c_uint64(LAST_ADDRESS)), "hook the kernel's blocks")
    return handle.value


@contextmanager
def only_kernel_blocks() -> Iterator[None]:
    """Machines that are made and run meanwhile hook the kernel's blocks only."""
    hook_add = binding.hook_add
    kept = []

    def bounded(uc: c_void_p, kind: int, callback: Any, user_data: int = 0,
                instruction: int | None = None) -> int:
        if kind == binding.UC_HOOK_BLOCK:
            return _hook_kernel_blocks(uc, callback, user_data)
        if instruction == binding.UC_X86_INS_SYSCALL:
            callback = _with_its_block(callback)
            kept.append(callback)
        return hook_add(uc, kind, callback, user_data, instruction)

    with mock.patch.object(binding, "hook_add", bounded):
        yield


def main(argv: list[str]) -> int:
    """Run a program without a clock; return its status."""
    with only_kernel_blocks(), Session() as session:
        result = session.run(argv)
        sys.stdout.buffer.write(result.output)
        if session.machine.clock > STANDS_STILL:
            print("bench.unclocked: the clock runs: this is no yardstick", file=sys.stderr)
            return 1
        return result.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

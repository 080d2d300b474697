"""What the kernel says when it has found itself wrong: registers, back-traces of both halves.

An exception that a handler did not mean kills the task it was working for and the machine goes on;
with ``panic_on_oops``, in an interrupt, in init, or for a KernelPanic, the machine stops.

See: Linux arch/x86/kernel/dumpstack.c, kernel/panic.c.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.printk import printk_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import THREAD_SIZE, task_struct
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.uaccess import copy_from_user
from guest_kernel.printk import KERN_EMERG, printk
from guest_kernel.process.fork import task_pt_regs

USER_FRAMES: Final = 16  # of the user back-trace, at most
KERNEL_FRAMES: Final = 32


def oops(k: Kernel, error: BaseException) -> None:
    """Log ``error`` with all that is known of where it happened."""
    k.data(printk_data).oops_count += 1
    current = k.current()
    _say(k, f"Oops: {type(error).__name__}: {error}")
    _say(k, f"CPU: 0 PID: {current.pid} Comm: {current.comm.decode('utf-8', 'replace')}")
    if current.stack:
        regs = task_pt_regs(current)
        _show_regs(k, regs)
        _say(k, "Call Trace (kernel stack):")
        for frame in kernel_frames(k, current):
            _say(k, f"  {frame}")
        if current.mm is not None and regs.cs & 3:
            _say(k, "Call Trace (user):")
            for ip in user_frames(k, regs):
                _say(k, f"  {ip:#x}")
    import traceback  # imports much that nobody needs who makes no mistakes

    _say(k, "Hosted half:")
    for block in traceback.format_exception(error):
        for line in block.rstrip().splitlines():
            _say(k, f"  {line}")
    _say(k, "---[ end trace ]---")


def _say(k: Kernel, text: str) -> None:
    printk(k, KERN_EMERG, text)


def _show_regs(k: Kernel, regs: pt_regs) -> None:
    _say(k, f"RIP: {regs.cs:04x}:{regs.ip:#x} RSP: {regs.ss:04x}:{regs.sp:016x} "
            f"EFLAGS: {regs.flags:08x} ORIG_RAX: {regs.orig_ax:016x}")
    for names in (("ax", "bx", "cx"), ("dx", "si", "di"), ("bp", "r8", "r9"),
                  ("r10", "r11", "r12"), ("r13", "r14", "r15")):
        _say(k, " ".join(f"{'R' + n.upper() if len(n) == 2 and n[0] != 'r' else n.upper():>3}: "
                         f"{getattr(regs, n):016x}" for n in names))


def symbol_name(k: Kernel, va: int) -> str | None:
    """Return ``name+offset`` for an address of the kernel's text, else ``None``."""
    if not k.symbols["_text"] <= va < k.symbols["_etext"]:
        return None
    by_address = sorted((address, name) for name, address in k.symbols.items())
    address, name = by_address[bisect_right(by_address, (va, "\x7f")) - 1]
    return f"{name}+{va - address:#x}"


def kernel_frames(k: Kernel, task: task_struct) -> Iterator[str]:
    """Yield what on ``task``'s kernel stack looks like a return address, innermost first.

    The assembly keeps no frame pointers, so these are guesses, marked as Linux marks them.
    """
    base = task.stack & PHYSICAL_MASK
    top = base + THREAD_SIZE - pt_regs.size
    found = 0
    for word in k.u64[(base + 8) >> 3 : top >> 3]:
        name = symbol_name(k, word)
        if name is not None and found < KERNEL_FRAMES:
            found += 1
            yield f"? {name}"


def user_frames(k: Kernel, regs: pt_regs) -> Iterator[int]:
    """Yield the program's return addresses by its chain of frame pointers, as far as it goes."""
    yield regs.ip
    frame = regs.bp
    for _ in range(USER_FRAMES):
        try:
            words = copy_from_user(k, frame, 16)
        except (SyscallError, OutOfFrames):
            return
        following, ip = int.from_bytes(words[:8], "little"), int.from_bytes(words[8:], "little")
        if not ip or following <= frame:
            return
        yield ip
        frame = following

"""May the CPU be taken from whom it runs?  The count of reasons against it, in the per-CPU area.

It is 0 while a task runs, in ring 3 or in the kernel, that may be preempted; the idle task's is
always ``PREEMPT_DISABLED``, for it asks for others itself.  A hosted handler is one instruction to
the guest, so only assembly that runs with interrupts on need ever raise the count for its own sake;
serving an interrupt raises it by ``HARDIRQ_OFFSET``, so that whoever tries to sleep there is found.

See: Linux include/linux/preempt.h, arch/x86/include/asm/preempt.h, kernel/softirq.c irq_enter().
"""

from __future__ import annotations

from guest_kernel.errors import BUG, BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.sched import (
    HARDIRQ_MASK,
    HARDIRQ_OFFSET,
    NMI_MASK,
    PREEMPT_OFFSET,
    SOFTIRQ_MASK,
)


def preempt_count(k: Kernel) -> int:
    """Return the count: PREEMPT_MASK, HARDIRQ_MASK."""
    count: int = k.u32[k.preempt_count_index]
    return count


def preempt_disable(k: Kernel) -> None:
    """Keep the CPU until :func:`preempt_enable`; may be nested."""
    k.u32[k.preempt_count_index] += PREEMPT_OFFSET


def preempt_enable(k: Kernel) -> None:
    """Undo :func:`preempt_disable`; what was put off happens when the next interrupt returns."""
    BUG_ON(not preempt_count(k), "preempt_enable() without preempt_disable()")
    k.u32[k.preempt_count_index] -= PREEMPT_OFFSET


def irq_enter(k: Kernel) -> None:
    """An interrupt begins to be served."""
    k.u32[k.preempt_count_index] += HARDIRQ_OFFSET


def irq_exit(k: Kernel) -> None:
    """An interrupt has been served."""
    k.u32[k.preempt_count_index] -= HARDIRQ_OFFSET


def in_interrupt(k: Kernel) -> bool:
    """Tell whether an interrupt is being served, so that there is no task to speak of."""
    return bool(preempt_count(k) & (HARDIRQ_MASK | SOFTIRQ_MASK | NMI_MASK))


def in_task(k: Kernel) -> bool:
    """Tell whether what is being done is done for the current task."""
    return not in_interrupt(k)


def might_sleep(k: Kernel) -> None:
    """Whoever calls this is about to sleep, or would under other circumstances.

    Raises:
        KernelPanic: that is not allowed: an interrupt is being served, or preemption is off.
    """
    if preempt_count(k):
        BUG("BUG: sleeping function called from invalid context, preempt_count "
            f"{preempt_count(k):#010x}")

"""What the hosted half knows of the machine it is attached to: views of RAM, addresses, no state.

Every function of the kernel gets at this object through a reference to a guest structure
(``task.k``) or takes it as its first argument.  It can be thrown away at any host call and made
anew from the machine and the image; nothing that the guest could notice may be kept here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from emulator.arch.paging import PAGE_SIZE
from emulator.digest import blake2b
from emulator.memory import Ram
from guest_kernel.layout.declare import PHYSICAL_MASK, Struct
from guest_kernel.layout.sched import (
    WORK_FLUSH_ALL,
    WORK_FLUSH_GLOBAL,
    WORK_FLUSH_ONE,
    pcpu_hot,
    sched_data,
    task_struct,
)

if TYPE_CHECKING:
    from emulator.machine import Machine

T = TypeVar("T", bound=Struct)

_CURRENT_TASK = pcpu_hot.offsetof("current_task")
_WORK = pcpu_hot.offsetof("work")
_FLUSH_VA = pcpu_hot.offsetof("flush_va")
_PREEMPT_COUNT = pcpu_hot.offsetof("preempt_count")
_RUNQUEUES = sched_data.offsetof("runqueues")


class _Data(Protocol):
    def __call__(self, kind: type[T], /) -> T: ...


class _Globals(dict[type[Struct], Struct]):
    """References to the kernel's globals by their type, each made when it is first asked for."""

    def __init__(self, k: Kernel) -> None:
        super().__init__()
        self._k = k

    def __missing__(self, kind: type[Struct]) -> Struct:
        found = self[kind] = kind(self._k, self._k.symbols[kind.__name__] & PHYSICAL_MASK)
        return found


class Kernel:
    """The hosted kernel's hold on one machine.

    Args:
        ram: the machine's memory.
        symbols: virtual address of each symbol of the image.
        image_end: physical address just behind the image and its ``.bss``.
        machine: for devices and the clock; without one, only what works on RAM can be used.

    Attributes:
        data: called with a structure of globals, such as ``mm_data``, returns the only one.
        machine: its devices and clock.
        u8, u16, u32, u64, i16, i32, i64: views of RAM, see :class:`emulator.memory.Ram`.
        mm_word, vm_word, rq_word: where ``mm_data``, ``vm_data`` and the run queue lie, as indices
            of ``u64``.
        pcpu, sched: physical addresses of ``pcpu_hot`` and ``sched_data``.
        current_index: where ``pcpu_hot.current_task`` lies, as an index of ``u64``.
        preempt_count_index: where ``pcpu_hot.preempt_count`` lies, as an index of ``u32``.
    """

    def __init__(self, ram: Ram, symbols: dict[str, int], image_end: int,
                 machine: Machine | None = None) -> None:
        self.ram = ram
        self.u8, self.u16, self.u32, self.u64 = ram.u8, ram.u16, ram.u32, ram.u64
        self.i16, self.i32, self.i64 = ram.i16, ram.i32, ram.i64
        self.symbols = symbols
        self.image_end = image_end
        self.machine = cast("Machine", machine)
        self.slab_memo: dict[Any, int] = {}
        self.data = cast(_Data, _Globals(self).__getitem__)
        self._current: task_struct | None = None
        # Indices in u64 of the globals that the hot paths count in.
        self.mm_word = (symbols.get("mm_data", 0) & PHYSICAL_MASK) >> 3
        self.vm_word = (symbols.get("vm_data", 0) & PHYSICAL_MASK) >> 3
        self.sched = symbols.get("sched_data", 0) & PHYSICAL_MASK
        self.rq_word = (self.sched + _RUNQUEUES) >> 3
        if "pcpu_hot" in symbols:
            pcpu = symbols["pcpu_hot"] & PHYSICAL_MASK
            self.pcpu = pcpu
            self.preempt_count_index = (pcpu + _PREEMPT_COUNT) >> 2
            self.current_index = (pcpu + _CURRENT_TASK) >> 3
            self._work_index = (pcpu + _WORK) >> 3
            self._flush_va_index = (pcpu + _FLUSH_VA) >> 3

    def current(self) -> task_struct:
        """Return the running task, as the per-CPU area names it."""
        pa: int = self.u64[self.current_index] & PHYSICAL_MASK
        current = self._current
        if current is None or current.pa != pa:
            current = self._current = task_struct(self, pa)
        return current

    # What the assembly is asked to do when the host call returns: see do_host_work, entry.asm.

    def ask(self, work: int) -> None:
        """Have ``WORK_*`` done when the host call returns."""
        self.u64[self._work_index] |= work

    def flush_tlb_one(self, va: int) -> None:
        """Forget the translation of one page of the loaded address space."""
        work: int = self.u64[self._work_index]
        if work & WORK_FLUSH_ONE and self.u64[self._flush_va_index] != va:
            work = work & ~WORK_FLUSH_ONE | WORK_FLUSH_ALL
        elif not work & WORK_FLUSH_ALL:
            self.u64[self._flush_va_index] = va
            work |= WORK_FLUSH_ONE
        self.u64[self._work_index] = work

    def flush_tlb_all(self) -> None:
        """Forget all translations of user space."""
        self.ask(WORK_FLUSH_ALL)

    def flush_tlb_kernel(self) -> None:
        """Forget global translations too, after a change to the kernel's half."""
        self.ask(WORK_FLUSH_GLOBAL)

    def flush_code(self, pa: int) -> None:
        """A frame that has held code gets new content: drop the CPU's translations of it.

        Linux needs nothing of the kind on x86, whose caches snoop; the engine translates.
        """
        self.machine.cpu.forget_code(pa, PAGE_SIZE)

    def get_random_bytes(self, n: int) -> bytes:
        """Return ``n`` bytes of the machine's own random generator: BLAKE2b of seed and counter.

        The host's randomness is never used; see Linux drivers/char/random.c for what this is not.
        """
        data = self.data(sched_data)
        out = bytearray()
        seed = data.boot_seed.to_bytes(8, "little")
        while len(out) < n:
            counter = data.random_counter
            data.random_counter = counter + 1
            out += blake2b(counter.to_bytes(8, "little"), key=seed).digest()
        return bytes(out[:n])

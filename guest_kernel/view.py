"""What a debugger is told of the kernel: tasks, their memory and their registers; read only.

Everything is read from RAM when it is asked for, so it holds at whatever point the machine has
stopped, and after going back in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from emulator.system import Area, Task
from guest_kernel.fs.proc_maps import vma_name, vma_rights
from guest_kernel.hostcalls import HostCalls
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK, Embed, Struct
from guest_kernel.layout.fs import inode
from guest_kernel.layout.mm_types import vm_area_struct, vm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import (
    TASK_STATE_ARRAY,
    THREAD_SIZE,
    sched_data,
    task_struct,
)
from guest_kernel.mm.filemap import filemap_get_entry
from guest_kernel.mm.vma import for_each_vma
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.process.pid import find_task_by_vpid
from guest_kernel.process.tasks import for_each_process_thread
from guest_kernel.sched.core import task_state

# What __switch_to_asm leaves on the stack of a task that does not run, lowest address first.
SAVED_BY_SWITCH: Final = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")


class View:
    """The view of one machine's kernel: an ``emulator.system.System``.

    Args:
        calls: the hosted half.
    """

    def __init__(self, calls: HostCalls) -> None:
        self._calls = calls

    @property
    def k(self) -> Kernel:
        """The kernel."""
        return self._calls.k

    @property
    def symbols(self) -> Mapping[str, int]:
        """Addresses of the kernel's symbols by name."""
        return self.k.symbols

    def current(self) -> int:
        """Return the running task's number; 0 is the idle task."""
        return self.k.current().pid

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks, in order of birth."""
        for task in for_each_process_thread(self.k):
            parent = task.real_parent
            yield Task(task.pid, task.tgid, 0 if parent is None else parent.tgid,
                       task.comm.decode("utf-8", "replace"), state_name(task),
                       0 if task.mm is None else task.mm.pa)

    def task(self, pid: int) -> task_struct:
        """Return a task; 0 is the idle task.

        Raises:
            LookupError: there is none of that number.
        """
        task = find_task_by_vpid(self.k, pid) if pid else self.k.data(sched_data).init_task
        if task is None:
            raise LookupError(f"no task {pid}")
        return task

    def field(self, pid: int, name: str) -> tuple[int, int]:
        """Return address and size of a field of a task's structure, ``__state`` or ``se.vruntime``.

        Raises:
            LookupError: there is no such task, or no such field.
        """
        kind: type[Struct] = task_struct
        *outer, last = name.split(".")
        for part in outer:
            inner = kind.fields.get(part)
            if not isinstance(inner, Embed):
                raise LookupError(f"no structure {part} in {kind.__name__}")
            kind = inner.target
        if last not in kind.fields:
            raise LookupError(f"no field {last} in {kind.__name__}")
        return self.task(pid).va + task_struct.offsetof(name), kind.fields[last].size

    def page_table(self, pid: int) -> int:
        """Return the physical address of the PML4 of a task; the kernel's for a kernel thread."""
        mm = self.task(pid).mm
        if mm is None:
            return self.k.data(vm_data).swapper_pg_dir & PHYSICAL_MASK
        return mm.pgd & PHYSICAL_MASK

    def areas(self, pid: int) -> list[Area]:
        """Return a task's mappings in order of address."""
        task = self.task(pid)
        return [] if task.mm is None else [
            self._area(task, vma) for vma in for_each_vma(task.mm)]

    def _area(self, task: task_struct, vma: vm_area_struct) -> Area:
        f, number, offset = vma.vm_file, 0, 0
        if f is not None:
            assert f.f_inode is not None
            number, offset = f.f_inode.pa, vma.vm_pgoff << PAGE_SHIFT
        return Area(vma.vm_start, vma.vm_end, vma_rights(vma), offset,
                    vma_name(vma, task).decode("utf-8", "replace"), number)

    def content(self, file: int) -> bytes:
        """Return what a file holds of which a page is mapped; holes are zeros."""
        node = inode(self.k, file)
        mapping = node.i_mapping
        assert mapping is not None
        pages = []
        for index in range(-(-node.i_size // PAGE_SIZE)):
            pa = filemap_get_entry(mapping, index)
            pages.append(self.k.ram.read(pa, PAGE_SIZE) if pa else bytes(PAGE_SIZE))
        return b"".join(pages)[: node.i_size]

    def version(self, file: int) -> tuple[int, int, int, int]:
        """Return what is another value when a mapped file is another, or its content."""
        node = inode(self.k, file)
        return node.i_ino, node.i_size, node.i_mtime_sec, node.i_mtime_nsec

    def user_registers(self, pid: int) -> dict[str, int]:
        """Return the registers with which a task goes back to ring 3.

        Raises:
            LookupError: it has none: it is a kernel thread.
        """
        task = self.task(pid)
        if task.mm is None:
            raise LookupError(f"task {pid} ({task.comm.decode('utf-8', 'replace')}) is a kernel "
                              "thread")
        regs = task_pt_regs(task)
        values = {("r" + name if name[0] != "r" else name): getattr(regs, name)
                  for name in pt_regs.fields if name not in ("orig_ax", "flags", "cs", "ss")}
        return values | {"rflags": regs.flags, "cs": regs.cs, "ss": regs.ss,
                         "orig_rax": regs.orig_ax}

    def kernel_registers(self, pid: int) -> dict[str, int]:
        """Return what __switch_to will load when the task runs again."""
        sp = self.task(pid).thread.sp
        first = (sp & PHYSICAL_MASK) >> 3
        words = self.k.u64[first : first + len(SAVED_BY_SWITCH)].tolist()
        return dict(zip(SAVED_BY_SWITCH, words, strict=True)) | {
            "rsp": sp + 8 * len(SAVED_BY_SWITCH)}

    def stack(self, pid: int) -> range:
        """Return where a task's kernel stack lies."""
        base = self.task(pid).stack
        return range(base, base + THREAD_SIZE) if base else range(0)

    def handler(self, number: int) -> Callable[..., object] | None:
        """Return the function that serves a host call which is about to be made."""
        return self._calls.handler(number)

    def is_text(self, va: int) -> bool:
        """Tell whether an address is the kernel's code."""
        return self.symbols["_text"] <= va < self.symbols["_etext"]


def state_name(task: task_struct) -> str:
    """Return a task's state as /proc/pid/status has it: ``S (sleeping)``."""
    states = (1 << len(TASK_STATE_ARRAY) - 2) - 1  # those that are reported
    state = task_state(task) | task.exit_state
    return TASK_STATE_ARRAY[(state & states).bit_length()]

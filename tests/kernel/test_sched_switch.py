"""What a context switch loads and gives back: guest_kernel/sched/core.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.sched import PF_KTHREAD, pcpu_hot, sched_data, task_struct
from guest_kernel.lib.rbtree import rbtree_inorder_for_each_entry
from guest_kernel.mm.page_alloc import nr_free_pages
from ringlet.session import Session
from tests.guest import compile_c

SLEEPER = r"""
#include <time.h>
int main(void)
{
	struct timespec nap = { 0, 1000000 };
	for (int i = 0; i < 5; i++)
		nanosleep(&nap, 0);
	return 0;
}
"""

SHARERS = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
static char stack[65536];
static int spin(void *unused)
{
	for (int i = 0; i < 10; i++)
		sched_yield();
	return 0;
}
int main(int argc, char **argv)
{
	clone(spin, stack + sizeof(stack), (argc > 1 ? 0 : CLONE_VM) | SIGCHLD, 0);
	spin(0);
	return wait(0) < 0;
}
"""


def _program(folder: Path, name: str, text: str) -> str:
    source = folder / f"{name}.c"
    source.write_text(text)
    return str(compile_c(source))


def _switches(session: Session, argv: list[str]) -> list[tuple[bool, bool, bool]]:
    """Run a program; return for each switch: from a kernel thread, to one, and if CR3 was loaded.

    Switches between a program's start and end only; the assembly, which makes some without a host
    call, is told not to.
    """
    k = session.kernel.k
    k.data(pcpu_hot).hosted_only = 1
    pcpu, queue = k.data(pcpu_hot), k.data(sched_data).runqueues
    call, found = session.kernel.call, []

    def watch(value: int) -> None:
        before = k.current()
        call(value)
        after = queue.curr
        assert after is not None
        if after != before:  # the assembly is about to switch
            found.append((bool(before.flags & PF_KTHREAD), bool(after.flags & PF_KTHREAD),
                          bool(pcpu.next_cr3)))

    session.machine.host_call = watch
    assert session.run(argv).status == 0
    session.machine.host_call = session.kernel.call
    return found


def test_sleep_keeps_the_address_space_loaded(session: Session, tmp_path: Path) -> None:
    """Is CR3 left alone when a program sleeps, the idle task runs, and the same program wakes?"""
    found = _switches(session, [_program(tmp_path, "sleeper", SLEEPER)])
    assert found.count((False, True, False)) == found.count((True, False, False)) == 5
    # The last one: the program has died, and its table must not stay.
    assert found[-1] == (False, True, True)


def test_threads_keep_the_address_space_loaded(session: Session, tmp_path: Path) -> None:
    """Is CR3 loaded between two processes, and not between two tasks that share memory?"""
    program = _program(tmp_path, "sharers", SHARERS)
    shared = [cr3 for old, new, cr3 in _switches(session, [program]) if not old and not new]
    apart = [cr3 for old, new, cr3 in _switches(session, [program, "apart"])
             if not old and not new]
    assert len(shared) >= 20
    assert not any(shared)
    assert len(apart) >= 20
    assert all(apart)


def test_borrowed_address_spaces_are_given_back(session: Session, tmp_path: Path) -> None:
    """Is every frame free again, and nothing but the kernel's table in use, when all is over?"""
    programs = [_program(tmp_path, "sleeper", SLEEPER), _program(tmp_path, "sharers", SHARERS)]
    k = session.kernel.k
    for program in programs * 2:
        session.run([program])
    before = nr_free_pages(k)
    for program in programs:
        session.run([program])
        assert nr_free_pages(k) == before
    curr = k.current()
    assert curr.active_mm == k.data(vm_data).init_mm
    assert session.machine.cpu.regs.cr3 == k.data(vm_data).swapper_pg_dir & PHYSICAL_MASK


FAMILY = r"""
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	for (int i = 1; i < atoi(argv[1]); i++)
		if (!fork())
			break;
	for (int i = 0; i < 20; i++)
		sched_yield();
	while (wait(0) > 0)
		;
	return 0;
}
"""


@pytest.mark.parametrize("nr_tasks", [2, 3, 4])
def test_tree_and_sums_follow_each_switch(session: Session, tmp_path: Path, nr_tasks: int) -> None:
    """Are exactly the waiting tasks in the tree, in order, and do the sums agree with it?

    Two tasks take a shorter way through the tree than several.
    """
    program = _program(tmp_path, "family", FAMILY)
    k = session.kernel.k
    queue, call, sizes = k.data(sched_data).runqueues, session.kernel.call, set()

    def watch(value: int) -> None:
        call(value)
        cfs = queue.cfs
        tasks = list(rbtree_inorder_for_each_entry(cfs.tasks_timeline, task_struct,
                                                   "se.run_node"))
        deadlines = [task.se.deadline for task in tasks]
        assert deadlines == sorted(deadlines)
        assert queue.curr not in tasks
        assert cfs.tasks_timeline.rb_leftmost == (tasks[0].se.run_node if tasks else None)
        assert cfs.avg_load == sum(task.se.load_weight for task in tasks)
        assert cfs.avg_vruntime == sum(
            task.se.load_weight * (task.se.vruntime - cfs.zero_vruntime) for task in tasks)
        sizes.add(len(tasks))

    session.machine.host_call = watch
    assert session.run([program, str(nr_tasks)]).status == 0
    assert max(sizes) >= nr_tasks - 1


def test_yield_is_one_host_call(session: Session, tmp_path: Path) -> None:
    """Does sched_yield(2) switch in its own host call, without asking a second time?"""
    program = _program(tmp_path, "sharers", SHARERS)
    call, calls = session.kernel.call, []

    def watch(value: int) -> None:
        calls.append(value)
        call(value)

    session.machine.host_call = watch
    session.run([program])
    assert calls.count(HostCall.SCHEDULE) < 10  # sleeps and deaths
    assert calls.count(HostCall.EXIT_WORK) < 5

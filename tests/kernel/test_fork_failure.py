"""A fork that fails at any step leaves nothing of the child, and the parent as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.sched import pcpu_hot, sched_data
from guest_kernel.mm import page_alloc
from guest_kernel.mm.mm import drop_dup_mm
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import for_each_slab_cache, kmem_cache_usage
from guest_kernel.process import fork
from guest_kernel.process.tasks import for_each_process_thread
from ringlet.session import Session
from tests.guest import compile_c

# fork(2), once, and the errno it failed with is the exit status; 0: it did not.
PROGRAM: Final = """
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	if (pid < 0)
		return errno;
	wait(0);
	return 0;
}
"""
STEPS: Final = ("dup_task_struct", "copy_creds", "sched_fork", "copy_semundo", "copy_files",
                "copy_fs", "copy_sighand", "copy_signal", "copy_mm", "copy_thread", "alloc_pid")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    source = tmp_path_factory.mktemp("fork") / "fork_once.c"
    source.write_text(PROGRAM)
    return str(compile_c(source))


def counts(session: Session) -> dict[str, object]:
    """Return what a fork takes, as it stands now."""
    k = session.kernel.k
    data = k.data(sched_data)
    user = data.init_task.user
    assert user is not None
    return {
        "tasks": [task.pid for task in for_each_process_thread(k)],
        "nr_threads": data.nr_threads, "processes": user.processes,
        "frames": page_alloc.nr_free_pages(k),
        "objects": {cache.name: kmem_cache_usage(cache)[0] for cache in for_each_slab_cache(k)},
    }


def run_with(session: Session, program: str, monkeypatch: pytest.MonkeyPatch,
             name: str, step: Callable[..., Any]) -> int:
    """Run the program with ``fork.name`` replaced, from just before its fork on.

    Its copy_process() is watched: what it has taken when it fails must be given back.
    """
    real = fork.copy_process
    seen: list[tuple[dict[str, object], dict[str, object]]] = []

    def copy_process(current: Any, args: Any) -> Any:
        if args.fn:  # init makes the program's task
            return real(current, args)
        drop_dup_mm(current.k)  # of the assembly's making: each step is to be the hosted one
        page_alloc.drain_local_pages(current.k)
        before = counts(session)
        with monkeypatch.context() as patch:
            patch.setattr(fork, name, step)
            try:
                return real(current, args)
            except SyscallError:
                page_alloc.drain_local_pages(current.k)
                seen.append((before, counts(session)))
                raise

    with monkeypatch.context() as patch:
        patch.setattr(fork, "copy_process", copy_process)
        status = session.run([program]).status
    for before, after in seen:
        # A page-table page that was made on the way, or a new slab, is not lost.
        assert before == after
    assert seen
    return status


@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("failure", [OutOfFrames("test"), SyscallError(Errno.EAGAIN)],
                         ids=["frames", "limit"])
def test_fork_that_fails_at_a_step_leaves_nothing(session: Session, program: str, name: str,
                                                  failure: Exception,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """Is all that the steps before have taken given back, and does the next fork work?"""
    assert session.run([program]).status == 0  # caches, and the file, are there from now on

    def step(*_: object) -> None:
        raise failure

    expected = Errno.ENOMEM if isinstance(failure, OutOfFrames) else Errno.EAGAIN
    assert run_with(session, program, monkeypatch, name, step) == expected
    assert session.run([program]).status == 0


@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("name", STEPS)
def test_copy_that_was_made_in_advance_is_dropped_with_the_fork(
        session: Session, program: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is the address space that the assembly has copied given back when there is no child?"""
    assert session.run([program]).status == 0
    pcpu = session.kernel.k.data(pcpu_hot)
    page_alloc.drain_local_pages(session.kernel.k)
    before, made = counts(session), []
    real = fork.copy_process

    def copy_process(current: Any, args: Any) -> Any:
        if args.fn:
            return real(current, args)
        made.append(pcpu.dup_mm)
        with monkeypatch.context() as patch:
            patch.setattr(fork, name, fail)
            return real(current, args)

    def fail(*_: object) -> None:
        raise SyscallError(Errno.EAGAIN)

    with monkeypatch.context() as patch:
        patch.setattr(fork, "copy_process", copy_process)
        assert session.run([program]).status == Errno.EAGAIN
    assert [bool(mm) for mm in made] == [True]
    assert not pcpu.dup_mm
    page_alloc.drain_local_pages(session.kernel.k)
    assert counts(session) == before


@pytest.mark.machine(panic_on_oops=True)
@pytest.mark.parametrize("nth", range(1, 40, 3))
def test_fork_that_runs_out_of_frames_leaves_nothing(session: Session, program: str, nth: int,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Is everything given back when the n-th allocation of a page table fails?"""
    assert session.run([program]).status == 0
    from guest_kernel.mm import memory, mm, pgtable

    real = page_alloc.get_zeroed_page
    count = 0

    def get_zeroed_page(k: Any) -> int:
        nonlocal count
        count += 1
        if count == nth:
            raise OutOfFrames("test")
        return real(k)

    copy_mm = fork.copy_mm

    def failing(*args: Any) -> None:
        with monkeypatch.context() as patch:
            for module in (memory, mm, pgtable):
                patch.setattr(module, "get_zeroed_page", get_zeroed_page)
            copy_mm(*args)
        if count < nth:
            raise OutOfFrames("beyond the last")

    assert run_with(session, program, monkeypatch, "copy_mm", failing) == Errno.ENOMEM
    assert session.run([program]).status == 0

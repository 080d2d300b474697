"""The page faults that guest assembly answers, held to the hosted half, which can as well."""

from __future__ import annotations

from pathlib import Path

from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.page import PG_held_code, mm_data, page
from guest_kernel.layout.sched import pcpu_hot
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.page_alloc import nr_free_pages
from ringlet.session import Result, Session
from tests.guest import compile_c

PROGRAM = Path(__file__).with_name("fast_fault.c")

KINDS = [name for name in vm_data.fields if name.startswith(("fault_", "cow_"))]


def run(*, hosted: bool) -> tuple[Result, dict[str, int], int]:
    """Run the program; return its result, the faults by kind, and how many the hosted half saw."""
    with Session(seed=1) as session:
        k = session.kernel.k
        k.data(pcpu_hot).hosted_only = int(hosted)
        calls = 0
        serve = session.machine.host_call
        assert serve is not None

        def count(value: int) -> None:
            nonlocal calls
            calls += value == 3 | 14 << 8
            serve(value)

        session.machine.host_call = count
        result = session.run([str(compile_c(PROGRAM))])
        return result, {name: getattr(k.data(vm_data), name) for name in KINDS}, calls


def test_assembly_and_hosted_half_answer_faults_alike() -> None:
    """Does a program see the same memory and the same counts, whoever answers its faults?"""
    fast, fast_kinds, fast_calls = run(hosted=False)
    hosted, hosted_kinds, hosted_calls = run(hosted=True)
    assert (fast.status, fast.output) == (hosted.status, hosted.output)
    assert fast_kinds == hosted_kinds
    assert fast.status == 0
    # And the assembly does answer: most of those that the hosted half answers otherwise.
    assert fast_calls < hosted_calls / 3


def test_no_frame_is_lost_on_either_path() -> None:
    """Are as many frames free after the program as before, whoever answered its faults?"""
    for hosted in (False, True):
        with Session(seed=1) as session:
            session.kernel.k.data(pcpu_hot).hosted_only = int(hosted)
            free = []
            for _ in range(3):
                session.run([str(compile_c(PROGRAM))])
                free.append(nr_free_pages(session.kernel.k))
            assert free[1] == free[2]


def test_frames_that_held_code_are_left_to_the_hosted_half(session: Session) -> None:
    """Does a program see the same if the assembly finds no frame that it may take, now and then?"""
    plain, _, _ = run(hosted=False)
    k = session.kernel.k
    serve = session.machine.host_call
    assert serve is not None
    calls = 0

    def flag(value: int) -> None:
        nonlocal calls
        serve(value)
        calls += 1
        # Of the frames at hand, one that is somewhere among the next to be taken.
        for index, frame in enumerate(list_for_each_entry(
                k.data(mm_data).pcp.list, page, "lru")):
            if index == calls % 7:
                frame.flags |= 1 << PG_held_code
                break

    free = []
    for _ in range(3):
        session.machine.host_call = flag
        result = session.run([str(compile_c(PROGRAM))])
        session.machine.host_call = serve
        assert (result.status, result.output) == (plain.status, plain.output)
        free.append(nr_free_pages(k))
    assert free[1] == free[2]

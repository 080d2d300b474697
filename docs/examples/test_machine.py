"""Tests of hardware, kernel and programs with ringlet's pytest plugin: see docs/plugin.md."""

import pytest

from emulator.arch.exceptions import Vector
from emulator.arch.paging import PTE
from emulator.bare import USER_DATA


def test_ring_3_may_not_write_a_read_only_page(asm, machine):
    machine.map(USER_DATA, flags=PTE.P | PTE.US)
    r = asm("mov byte ptr [rsi], 1", ring=3, rsi=USER_DATA)
    assert r.trap.vector == Vector.PF
    assert r.trap.error_code == 0b111  # present, a write, ring 3
    assert not r.entry(USER_DATA) & PTE.D


def test_a_store_sets_the_dirty_bit(asm):
    assert not asm("mov al, [rsi]", ring=3, rsi=USER_DATA).entry(USER_DATA) & PTE.D
    assert asm("mov [rsi], al", ring=3, rsi=USER_DATA).entry(USER_DATA) & PTE.D


@pytest.mark.native
def test_a_child_has_its_own_memory(guest):
    r = guest("fork.c")
    assert r.stdout == b"child 2\nparent 1\n"


@pytest.mark.machine(quantum=100_000, sched="rr")
def test_under_another_scheduler(guest, kernel):
    assert guest("fork.c").status == 0
    assert "sched=rr" in kernel.dmesg

"""The engine's behaviour that the CPU is built on, one test for each fact.

When one of these fails on a new release of Unicorn, ``emulator/cpu`` has to be looked at: what the
engine leaves out must still be left out, what it does must still be done.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes import c_uint64, c_void_p
from typing import Any

import pytest
import unicorn
from unicorn import unicorn_const, x86_const

from emulator.arch.descriptors import (
    KERNEL_CODE_DESCRIPTOR,
    KERNEL_CS,
    KERNEL_DATA_DESCRIPTOR,
    KERNEL_DS,
    USER_CODE_DESCRIPTOR,
    USER_CS,
    USER_DATA_DESCRIPTOR,
    USER_DS,
    tss_descriptor,
)
from emulator.arch.exceptions import PageFaultError, Vector
from emulator.arch.paging import PTE
from emulator.arch.registers import CR0, CR4, EFER, MSR, RFLAGS
from emulator.assembler import assemble
from emulator.cpu import abort, binding
from emulator.cpu.binding import REGISTERS, lib
from emulator.cpu.context import GENERAL, SEGMENTS, Context, measure, uc_x86_msr
from emulator.cpu.microcode import HF_CPL, HF_INHIBIT_IRQ
from emulator.memory import Ram

PML4, PDPT, PD, PT = 0x1000, 0x2000, 0x3000, 0x4000
GDT = 0x6000
CODE = 0x1_0000
DATA = 0x2_0000
STACK = 0x4_0000
RAM_SIZE = 4 << 20
OK = unicorn_const.UC_ERR_OK


class Engine:
    """An engine in 64-bit mode: the first 2 MiB mapped one to one for both rings, 4 KiB pages.

    Attributes:
        intr: what UC_HOOK_INTR reported: vector, RIP, error code, whether it was INT n.
        labels: of the program.
    """

    def __init__(self, source: str = "", ring: int = 0, *, ram: int = RAM_SIZE) -> None:
        self.uc = binding.open_engine()
        self.ram = Ram(ram)
        assert lib.uc_mem_map_ptr(self.uc, 0, ram, binding.UC_PROT_ALL, self.ram.address) == OK
        self.layout = measure(self.uc)
        self.callbacks: list[object] = []
        self.intr: list[tuple[int, int, int, bool]] = []
        u64 = self.ram.u64
        everything = PTE.P | PTE.RW | PTE.US
        u64[PML4 >> 3], u64[PDPT >> 3], u64[PD >> 3] = (
            PDPT | everything, PD | everything, PT | everything)
        for page in range(512):
            u64[(PT >> 3) + page] = page << 12 | everything
        for selector, descriptor in (
            (KERNEL_CS, KERNEL_CODE_DESCRIPTOR), (KERNEL_DS, KERNEL_DATA_DESCRIPTOR),
            (USER_CS & ~3, USER_CODE_DESCRIPTOR), (USER_DS & ~3, USER_DATA_DESCRIPTOR),
        ):
            u64[(GDT + selector) >> 3] = descriptor
        self.ram.write(GDT + 0x40, tss_descriptor(0x8000, 103))
        self["cr3"] = PML4
        self["cr4"] = CR4.PAE | CR4.OSFXSR
        self.write_msr(MSR.IA32_EFER, EFER.LME | EFER.LMA | EFER.NXE | EFER.SCE)
        self["cr0"] = CR0.PE | CR0.ET | CR0.NE | CR0.WP | CR0.PG
        self.enter(ring)
        self["rsp"] = STACK
        code, self.labels = assemble(source, CODE)
        self.ram.write(CODE, code)

    def close(self) -> None:
        lib.uc_close(self.uc)

    def enter(self, ring: int) -> None:
        """Load the segments of ``ring`` through the context."""
        context, lay = self.save(), self.layout
        for name, selector, descriptor in (
            ("cs", USER_CS if ring else KERNEL_CS,
             USER_CODE_DESCRIPTOR if ring else KERNEL_CODE_DESCRIPTOR),
            ("ss", USER_DS if ring else KERNEL_DS,
             USER_DATA_DESCRIPTOR if ring else KERNEL_DATA_DESCRIPTOR),
        ):
            place = lay.segment(name)
            context.u32[place >> 2] = selector
            context.u32[(place + 16) >> 2] = 0xFFFF_FFFF
            context.u32[(place + 20) >> 2] = descriptor >> 32
        gdt = lay.segment("gdt")
        context.u64[(gdt + 8) >> 3] = GDT
        context.u32[(gdt + 16) >> 2] = 0x4F
        context.u32[lay.hflags >> 2] = context.u32[lay.hflags >> 2] & ~HF_CPL | ring
        self.load(context)

    def __getitem__(self, register: str) -> int:
        cell = c_uint64()
        assert lib.uc_reg_read(self.uc, REGISTERS[register], ctypes.byref(cell)) == OK
        return cell.value

    def __setitem__(self, register: str, value: int) -> None:
        cell = ctypes.byref(c_uint64(value))
        assert lib.uc_reg_write(self.uc, REGISTERS[register], cell) == OK

    def write_msr(self, number: int, value: int) -> None:
        cell = ctypes.byref(uc_x86_msr(number, value))
        assert lib.uc_reg_write(self.uc, binding.UC_X86_REG_MSR, cell) == OK

    def save(self) -> Context:
        context = Context(self.uc, self.layout)
        assert lib.uc_context_save(self.uc, context.pointer) == OK
        return context

    def load(self, context: Context) -> None:
        assert lib.uc_context_restore(self.uc, context.pointer) == OK

    def cpl(self) -> int:
        return int(self.save().u32[self.layout.hflags >> 2] & HF_CPL)

    def delivered(self) -> None:
        """Say that the pending exception has been delivered."""
        context = self.save()
        context.i32[self.layout.old_exception >> 2] = -1
        self.load(context)

    def stop(self) -> None:
        assert lib.uc_emu_stop(self.uc) == OK

    def on(self, kind: int, prototype: Any, hook: Callable[..., Any],
           instruction: int | None = None) -> None:
        callback = prototype(hook)
        self.callbacks.append(callback)
        binding.hook_add(self.uc, kind, callback, 0, instruction)

    def on_intr(self, handle: Callable[[int], None] | None = None) -> None:
        """Record exceptions; by default each ends the run."""
        def hook(_uc: int, vector: int, _data: int) -> None:
            context, lay = self.save(), self.layout
            self.intr.append((vector, context.u64[lay.rip >> 3],
                              context.i32[lay.error_code >> 2],
                              bool(context.i32[lay.exception_is_int >> 2])))
            if handle is None:
                self.delivered()
                self.stop()
            else:
                handle(vector)

        self.on(binding.UC_HOOK_INTR, binding.INTR_HOOK, hook)

    def on_blocks(self) -> list[tuple[int, int]]:
        """Record blocks: address and size."""
        blocks: list[tuple[int, int]] = []
        self.on(binding.UC_HOOK_BLOCK, binding.BLOCK_HOOK,
                lambda _uc, address, size, _data: blocks.append((address, size)))
        return blocks

    def run(self, at: int = CODE) -> int:
        """Run until something stops it; return the engine's error."""
        return int(lib.uc_emu_start(self.uc, at, 0, 0, 0))

    def pte(self, va: int) -> int:
        return (PT >> 3) + (va >> 12)


@pytest.fixture
def engine() -> Iterator[Callable[..., Engine]]:
    """The function that makes an engine with a program."""
    engines: list[Engine] = []

    def make(*arguments: Any, **keywords: Any) -> Engine:
        engines.append(Engine(*arguments, **keywords))
        return engines[-1]

    yield make
    for each in engines:
        each.close()


Make = Callable[..., Engine]


# The binding and the blob


def test_constants_are_the_packages() -> None:
    """Do the numbers in binding.py agree with those of the package?"""
    for name, value in vars(binding).items():
        if name.startswith("UC_") and isinstance(value, int):
            module = x86_const if "X86" in name and name != "UC_ARCH_X86" else unicorn_const
            assert getattr(module, name) == value, name
    for name, number in REGISTERS.items():
        assert getattr(x86_const, f"UC_X86_REG_{name.upper()}") == number, name


def test_ctl_requests_are_the_packages() -> None:
    """Are the numbers of uc_ctl's requests, with their direction and arguments, right?"""
    write = unicorn_const.UC_CTL_IO_WRITE << 30
    assert write == 1 << 30
    for request, kind, arguments in (
        (binding._UC_CTL_USE_EXITS, unicorn_const.UC_CTL_UC_USE_EXITS, 1),
        (binding._UC_CTL_CPU_MODEL, unicorn_const.UC_CTL_CPU_MODEL, 1),
        (binding._UC_CTL_TB_FLUSH, unicorn_const.UC_CTL_TB_FLUSH, 0),
        (binding._UC_CTL_TLB_FLUSH, unicorn_const.UC_CTL_TLB_FLUSH, 0),
    ):
        assert request == kind | arguments << 26 | write


def test_version_is_the_packages() -> None:
    """Is the library that was loaded the one of the package?"""
    assert binding.version() == tuple(map(int, unicorn.__version__.split(".")[:3]))


def test_engine_starts_in_ring_0_without_paging() -> None:
    """What is the state before anything was set?"""
    uc = binding.open_engine()
    layout = measure(uc)
    context = Context(uc, layout)
    lib.uc_context_save(uc, context.pointer)
    assert context.u32[layout.hflags >> 2] & HF_CPL == 0
    assert not context.u64[layout.cr >> 3] & CR0.PG
    assert context.i32[layout.old_exception >> 2] == -1
    lib.uc_close(uc)


def test_blob_layout_agrees_with_the_public_registers(engine: Make) -> None:
    """Does each offset hold what uc_reg_write wrote, and the other way round?"""
    e = engine()
    lay = e.layout
    for index, name in enumerate(GENERAL):
        e[name] = 0x1111_2222_3333_0000 + index
    e["dr0"], e["dr3"], e["dr6"], e["cr2"] = 1, 2, 3, 4
    e["fs_base"], e["gs_base"] = 5, 6
    context = e.save()
    for index, _ in enumerate(GENERAL):
        assert context.u64[(lay.regs >> 3) + index] == 0x1111_2222_3333_0000 + index
    dr = lay.dr >> 3
    assert [context.u64[dr + i] for i in (0, 3, 6)] == [1, 2, 3]
    assert context.u64[(lay.cr >> 3) + 2] == 4
    assert context.u64[(lay.cr >> 3) + 3] == PML4
    assert context.u64[(lay.segment("fs") + 8) >> 3] == 5
    assert context.u64[(lay.segment("gs") + 8) >> 3] == 6
    context.u64[(lay.regs >> 3) + GENERAL.index("r9")] = 99
    e.load(context)
    assert e["r9"] == 99
    assert [lay.segment(name) - lay.segments for name in SEGMENTS] == list(range(0, 240, 24))


def test_measuring_leaves_the_engine_as_it_was() -> None:
    """Can the layout be measured on an engine that is then used?"""
    import emulator.cpu.context as module

    uc = binding.open_engine()
    layout = measure(uc)
    before = Context(uc, layout)
    lib.uc_context_save(uc, before.pointer)
    module._measured = None
    assert measure(uc) == layout
    after = Context(uc, layout)
    lib.uc_context_save(uc, after.pointer)
    assert bytes(after.state) == bytes(before.state)
    lib.uc_close(uc)


def test_a_context_begins_with_40_bytes_of_the_engines_own() -> None:
    """And does it end with 8 more, so that what may be kept lies between?"""
    uc = binding.open_engine()
    layout = measure(uc)
    assert layout.regs == 40
    context = Context(uc, layout)
    assert len(context.state) == context.size - 40 - 8
    lib.uc_close(uc)


def test_states_of_two_engines_are_equal_byte_by_byte(engine: Make) -> None:
    """Is the blob free of the host's addresses and randomness, so that it can be kept in a file?"""
    states = []
    for _ in range(2):
        e = engine("mov rax, [rip + CODE_]\nCODE_: fninit\nmovaps xmm0, xmm1\nhlt")
        e.run()
        states.append(bytes(e.save().state))
    assert states[0] == states[1]


FLAGS = RFLAGS.CF | RFLAGS.OF | RFLAGS.SF | RFLAGS.ZF | RFLAGS.DF


def test_eflags_in_a_hook_lack_the_arithmetic_flags_and_df(engine: Make) -> None:
    """Must RFLAGS be read with uc_reg_read, and flags be put into cc_src and df, inside a hook?"""
    e = engine("std\nmov eax, 0x7fffffff\nadd eax, 1\nint 0x80\npushfq\npop rax\nhlt")
    seen = []

    def hook(_uc: int, _vector: int, _data: int) -> None:
        context, lay = e.save(), e.layout
        seen.append((e["rflags"] & FLAGS, context.u64[lay.eflags >> 3] & FLAGS,
                     context.i32[lay.df >> 2]))
        context.u32[lay.cc_op >> 2] = 1
        context.u64[lay.cc_src >> 3] = RFLAGS.CF
        context.i32[lay.df >> 2] = 1
        e.load(context)

    e.on(binding.UC_HOOK_INTR, binding.INTR_HOOK, hook)
    e.run()
    assert seen == [(RFLAGS.OF | RFLAGS.SF | RFLAGS.DF, 0, -1)]
    assert e["rax"] & FLAGS == RFLAGS.CF


def test_eflags_between_runs_are_complete_and_all_that_counts(engine: Make) -> None:
    """Must flags be put into eflags between runs, and are cc_src and df ignored there?"""
    e = engine("std\nmov eax, 0x7fffffff\nadd eax, 1\nhlt\nmore: pushfq\npop rax\nhlt")
    e.run()
    context, lay = e.save(), e.layout
    assert context.u64[lay.eflags >> 3] & FLAGS == RFLAGS.OF | RFLAGS.SF | RFLAGS.DF
    context.u32[lay.cc_op >> 2] = 1
    context.u64[lay.cc_src >> 3] = RFLAGS.CF
    context.i32[lay.df >> 2] = 1
    e.load(context)
    e.run(e.labels["more"])
    assert e["rax"] & FLAGS == RFLAGS.OF | RFLAGS.SF | RFLAGS.DF
    e["rflags"] = RFLAGS.ZF
    e.run(e.labels["more"])
    assert e["rax"] & FLAGS == RFLAGS.ZF


# Privilege


def test_writing_cs_stores_the_selector_alone(engine: Make) -> None:
    """Can uc_reg_write not change the ring?"""
    e = engine("hlt")
    e["cs"] = USER_CS
    assert e["cs"] == USER_CS
    assert e.cpl() == 0


def test_restoring_a_context_changes_the_ring(engine: Make) -> None:
    """Does CPL in hflags decide what code may do?"""
    e = engine(f"mov ebx, {DATA}\nbad: mov [rbx], eax\nhlt")
    e.ram.u64[e.pte(DATA)] &= ~PTE.US
    e.on_intr()
    assert e.run() == OK
    assert e.intr == []
    e.enter(3)
    binding.flush_tlb(e.uc)
    e.run()
    error = PageFaultError.P | PageFaultError.W | PageFaultError.U
    assert e.intr == [(Vector.PF, e.labels["bad"], error, False)]


@pytest.mark.parametrize("instruction", [
    "hlt", "cli", "sti", "rdmsr", "wrmsr", "mov rax, cr0", "mov cr3, rax", "iretq", "lgdt [rsp]",
    "lidt [rsp]", "ltr ax", "lldt ax", "invlpg [rsp]", "swapgs", "clts", "wbinvd", "mov rax, dr7",
    "lmsw ax", ".byte 0x48, 0x0f, 0x07",
])
def test_privileged_instruction_in_ring_3_is_gp(engine: Make, instruction: str) -> None:
    """Does the engine itself refuse it?  (An IRETQ pops a null selector here.)"""
    e = engine(f"xor eax, eax\nbad: {instruction}\nhlt", ring=3)
    e.on_intr()
    e.run()
    assert e.intr == [(Vector.GP, e.labels["bad"], 0, False)]


def test_loading_a_kernel_selector_in_ring_3_is_gp_of_it(engine: Make) -> None:
    """Are data segments checked against the ring?"""
    e = engine(f"mov eax, {KERNEL_DS}\nbad: mov ds, ax\nhlt", ring=3)
    e.on_intr()
    e.run()
    assert e.intr == [(Vector.GP, e.labels["bad"], KERNEL_DS, False)]


def test_loading_a_busy_tss_is_gp(engine: Make) -> None:
    """Does LTR mark its descriptor busy, and refuse one that is?"""
    e = engine("mov eax, 0x40\nltr ax\nagain: ltr ax\nhlt")
    e.on_intr()
    e.run()
    assert e.ram.u8[GDT + 0x45] & 0x1F == 0xB
    assert e.intr == [(Vector.GP, e.labels["again"], 0x40, False)]


def test_ports_of_ring_3_reach_the_hook_unchecked(engine: Make) -> None:
    """Must the port hook itself look at IOPL and the bitmap?"""
    e = engine("nop\nmov edx, 0x60\nout_: out dx, al\nin_: in al, 0x61\njmp next\nnext: ud2",
               ring=3)
    seen: list[tuple[str, int, int]] = []

    def out(_uc: int, port: int, _size: int, _value: int, _data: int) -> None:
        seen.append(("out", port, e["rip"]))

    def in_(_uc: int, port: int, _size: int, _data: int) -> int:
        seen.append(("in", port, e["rip"]))
        return 0x77

    e.on(binding.UC_HOOK_INSN, binding.OUT_HOOK, out, binding.UC_X86_INS_OUT)
    e.on(binding.UC_HOOK_INSN, binding.IN_HOOK, in_, binding.UC_X86_INS_IN)
    e.on_intr()
    e.run()
    assert [(kind, port) for kind, port, _ in seen] == [("out", 0x60), ("in", 0x61)]
    # RIP is the block's up to 2.1.3: the engine has not brought it up to date.
    assert {rip for *_, rip in seen} == {CODE} or [rip for *_, rip in seen] == [
        e.labels["out_"], e.labels["in_"]]
    assert e["rax"] & 0xFF == 0x77


def test_ins_stores_zero_before_it_asks_for_the_port(engine: Make) -> None:
    """What does a refused INS leave in memory?"""
    e = engine(f"mov edi, {DATA}\nmov edx, 0x60\ninsd\nhlt")
    e.ram.u64[DATA >> 3] = (1 << 64) - 1
    seen: list[int] = []

    def in_(_uc: int, _port: int, _size: int, _data: int) -> int:
        seen.append(e.ram.u64[DATA >> 3])
        return 0x12345678

    e.on(binding.UC_HOOK_INSN, binding.IN_HOOK, in_, binding.UC_X86_INS_IN)
    e.run()
    assert seen == [0xFFFF_FFFF_0000_0000]
    assert e.ram.u64[DATA >> 3] == 0xFFFF_FFFF_1234_5678


# SYSCALL, exceptions


def test_syscall_reaches_its_hook_and_rip_moves_by_2(engine: Make) -> None:
    """Is there no transition, and is RIP exact in the hook?"""
    e = engine("nop\nmov ecx, 7\nbad: syscall\nafter: hlt", ring=0)
    e.write_msr(MSR.IA32_LSTAR, DATA)
    seen: list[int] = []
    e.on(binding.UC_HOOK_INSN, binding.SYSCALL_HOOK, lambda _uc, _data: seen.append(e["rip"]),
         binding.UC_X86_INS_SYSCALL)
    e.run()
    assert seen == [e.labels["bad"]]
    assert e["rip"] == e.labels["after"] + 1
    assert e["rcx"] == 7


def test_syscall_hook_may_load_a_context(engine: Make) -> None:
    """Does execution go on where the loaded context says, plus 2?"""
    e = engine("syscall\nhlt\nthere: mov eax, 5\nhlt", ring=3)

    def hook(_uc: int, _data: int) -> None:
        context = e.save()
        context.u64[e.layout.rip >> 3] = e.labels["there"] - 2
        context.u32[e.layout.hflags >> 2] &= ~HF_CPL
        e.load(context)

    e.on(binding.UC_HOOK_INSN, binding.SYSCALL_HOOK, hook, binding.UC_X86_INS_SYSCALL)
    e.run()
    assert (e["rax"], e.cpl()) == (5, 0)


def test_sysenter_ends_its_block_and_reaches_its_hook(engine: Make) -> None:
    """Can SYSENTER be found although RIP in its hook may be the block's?"""
    e = engine("nop\nnop\nbad: sysenter\nafter: hlt", ring=3)
    blocks = e.on_blocks()
    seen: list[int] = []

    def hook(_uc: int, _data: int) -> None:
        seen.append(e["rip"])
        context = e.save()
        context.u64[e.layout.rip >> 3] = DATA - 2
        e.load(context)

    e.on(binding.UC_HOOK_INSN, binding.SYSCALL_HOOK, hook, binding.UC_X86_INS_SYSENTER)
    e.on_intr()
    e.ram.write(DATA, b"\xf4")
    e.run()
    assert blocks[0] == (CODE, e.labels["after"] - CODE)
    assert seen in ([CODE], [e.labels["bad"]])
    assert e.intr == [(Vector.GP, DATA, 0, False)]  # it has gone on at the context's RIP plus 2


def test_fault_is_reported_at_the_instruction_with_exact_registers(engine: Make) -> None:
    """In mid-block: RIP, general registers, error code and CR2?"""
    e = engine(f"mov eax, 1\nmov ebx, {DATA + 0x123}\nadd eax, 1\nbad: mov [rbx], eax\n"
               "add eax, 1\nhlt")
    e.ram.u64[e.pte(DATA)] = 0
    e.on_intr()
    e.run()
    assert e.intr == [(Vector.PF, e.labels["bad"], PageFaultError.W, False)]
    assert e["cr2"] == DATA + 0x123
    assert e["rax"] == 2


@pytest.mark.parametrize(("source", "vector"), [("int 0x80", 0x80), ("int3", 3),
                                                (".byte 0xcd, 3", 3), ("int 14", 14)])
def test_int_n_is_reported_behind_the_instruction(engine: Make, source: str, vector: int) -> None:
    """Is INT n told apart from an exception, and is no gate looked at?"""
    e = engine(f"nop\n{source}\nafter: hlt", ring=3)
    e.on_intr()
    e.run()
    assert [(v, rip, is_int) for v, rip, _, is_int in e.intr] == [
        (vector, e.labels["after"], True)]


@pytest.mark.parametrize("source", ["ud2", "int 6", ".byte 0xf1", "rdpmc", "rdrand rax",
                                    "rdseed rax", "vmcall", "mwait", "xgetbv",
                                    "vaddps ymm0, ymm0, ymm0", ".byte 0x06"])
def test_undefined_instruction_reaches_the_invalid_hook(engine: Make, source: str) -> None:
    """Is #UD, also that of INT 6, INT1 and RDPMC, reported to UC_HOOK_INSN_INVALID alone?"""
    e = engine(f"nop\nbad: {source}\nafter: hlt")
    seen: list[tuple[int, bool]] = []

    def hook(_uc: int, _data: int) -> bool:
        context, lay = e.save(), e.layout
        seen.append((context.u64[lay.rip >> 3], bool(context.i32[lay.exception_is_int >> 2])))
        e.stop()
        return True

    e.on(binding.UC_HOOK_INSN_INVALID, binding.INVALID_HOOK, hook)
    e.on_intr()
    assert e.run() == OK
    # Unlike that of another INT n, its RIP has not been moved on.
    assert seen == [(e.labels["bad"], source == "int 6")]
    assert e.intr == []
    if source == "int 6":
        assert e.save().u64[e.layout.exception_next_eip >> 3] == e.labels["after"]


def test_page_fault_after_one_that_was_not_delivered_is_a_double_fault(engine: Make) -> None:
    """Why must old_exception be reset after each delivery?"""
    e = engine(f"mov ebx, {DATA}\nmov eax, [rbx]\nhlt")
    e.ram.u64[e.pte(DATA)] = 0
    e.on_intr(lambda vector: e.stop())
    e.run()
    e.run()
    assert [vector for vector, *_ in e.intr] == [Vector.PF, Vector.DF]
    e.delivered()
    e.run()
    assert e.intr[-1][0] == Vector.PF


def test_third_fault_that_was_not_delivered_ends_the_run_silently(engine: Make) -> None:
    """What does the engine do on what it takes for a triple fault?"""
    e = engine(f"mov ebx, {DATA}\nmov eax, [rbx]\nhlt")
    e.ram.u64[e.pte(DATA)] = 0
    e.on_intr(lambda vector: e.stop())
    assert [e.run(), e.run(), e.run()] == [OK, OK, OK]
    assert len(e.intr) == 2


def test_trap_flag_raises_db_behind_each_instruction(engine: Make) -> None:
    """Is single stepping native?"""
    e = engine(f"push {RFLAGS.TF | RFLAGS.RESERVED1}\npopfq\none: nop\ntwo: nop\nthree: hlt")
    e.on_intr(lambda vector: e.delivered() if len(e.intr) < 2 else (e.delivered(), e.stop()))
    e.run()
    assert [(vector, rip) for vector, rip, *_ in e.intr] == [
        (Vector.DB, e.labels["two"]), (Vector.DB, e.labels["three"])]


@pytest.mark.parametrize(("dr7", "traps"), [(0x401, True), (0x400, False), (0xD0401, False)])
def test_instruction_breakpoint_register_raises_db(engine: Make, dr7: int, traps: bool) -> None:
    """Does DR7 arm DR0 for execution, and not for data?"""
    e = engine(f"""
    lea rax, [rip + place]
    mov dr0, rax
    mov eax, {dr7}
    mov dr7, rax
    mov eax, 0x90909090
    mov [rip + place], eax
    jmp place
place:
    .quad 0x9090909090909090
    hlt""")
    e.on_intr()
    e.run()
    assert [event[:2] for event in e.intr] == ([(Vector.DB, e.labels["place"])] if traps else [])


# Stopping


def test_halt_ends_the_run_behind_it(engine: Make) -> None:
    """Does HLT end uc_emu_start without an error?"""
    e = engine("nop\nhlt\nafter: nop")
    assert e.run() == OK
    assert e["rip"] == e.labels["after"]


def test_no_address_ends_a_run(engine: Make) -> None:
    """With exits enabled and none set, does ``until`` = 0 mean nothing?"""
    e = engine("xor eax, eax\njmp rax")
    e.ram.write(0, b"\x90\xf4")
    assert e.run() == OK
    assert e["rip"] == 2


def test_the_end_of_a_run_does_not_probe_memory(engine: Make) -> None:
    """With page 0 unmapped, is there no pending exception and no CR2 afterwards?"""
    e = engine("hlt")
    e.ram.u64[e.pte(0)] = 0
    e["cr2"] = 0x1234
    e.run()
    assert e["cr2"] == 0x1234
    assert e.save().i32[e.layout.old_exception >> 2] == -1


def test_stop_in_a_block_hook_ends_the_run_before_the_block(engine: Make) -> None:
    """Is the stop exact there?"""
    e = engine("mov eax, 1\njmp next\nnext: mov eax, 2\nhlt")

    def hook(_uc: int, address: int, _size: int, _data: int) -> None:
        if address == e.labels["next"]:
            e.stop()

    e.on(binding.UC_HOOK_BLOCK, binding.BLOCK_HOOK, hook)
    e.run()
    assert (e["rip"], e["rax"]) == (e.labels["next"], 1)


def test_stop_in_a_port_hook_ends_the_run_at_the_end_of_the_block(engine: Make) -> None:
    """Is that why there is a jump behind each host call?"""
    e = engine("mov eax, 1\nout 0x60, al\nmov eax, 2\njmp next\nnext: mov eax, 3\nhlt")
    e.on(binding.UC_HOOK_INSN, binding.OUT_HOOK, lambda *_: e.stop(), binding.UC_X86_INS_OUT)
    e.run()
    assert (e["rip"], e["rax"]) == (e.labels["next"], 2)


def test_memory_access_behind_a_stop_in_a_port_hook_loses_rip(engine: Make) -> None:
    """Why is no run stopped from a port hook that is to go on from there?"""
    e = engine(f"inc ecx\nout 0x60, al\ninc ecx\naccess: mov eax, [{DATA:#x}+rbx]\njmp next\n"
               "next: hlt")
    e.on(binding.UC_HOOK_INSN, binding.OUT_HOOK, lambda *_: e.stop(), binding.UC_X86_INS_OUT)
    e.run()
    # Up to 2.1.3 the run has ended, after two INC, as if the block were to begin.
    assert e["rip"] in (CODE, e.labels["access"])
    assert e["rcx"] == 2


def test_stop_in_an_exception_hook_ends_the_run_where_the_context_says(engine: Make) -> None:
    """Is the handler's first instruction not executed?"""
    e = engine("int 0x80\nhlt\nhandler: mov eax, 2\nhlt")

    def hook(_uc: int, _vector: int, _data: int) -> None:
        context = e.save()
        context.u64[e.layout.rip >> 3] = e.labels["handler"]
        e.load(context)
        e.stop()

    e.on(binding.UC_HOOK_INTR, binding.INTR_HOOK, hook)
    e.run()
    assert (e["rip"], e["rax"]) == (e.labels["handler"], 0)


def test_stop_between_runs_does_not_end_the_next(engine: Make) -> None:
    """Is a stop that comes too late forgotten?"""
    e = engine("mov eax, 1\njmp next\nnext: mov eax, 2\nhlt")
    e.stop()
    e.run()
    assert e["rax"] == 2


# Blocks, translations, the TLB


def test_block_hook_gives_address_and_size(engine: Make) -> None:
    """Do the sizes add up to the bytes that were executed?"""
    e = engine("mov eax, 3\nloop_: dec eax\njnz loop_\nnop\nhlt\nend:")
    blocks = e.on_blocks()
    e.run()
    loop, end = e.labels["loop_"], e.labels["end"]
    assert blocks == [(CODE, loop + 4 - CODE), (loop, 4), (loop, 4), (loop + 4, end - loop - 4)]


def test_each_iteration_of_rep_is_a_block(engine: Make) -> None:
    """Can a long string instruction be interrupted?"""
    e = engine(f"mov edi, {DATA}\nmov ecx, 3\nbody: rep stosb\nhlt")
    blocks = e.on_blocks()
    e.run()
    body = e.labels["body"]
    assert [address for address, _ in blocks].count(body) >= 2
    assert blocks[-1][0] == body + 2


def test_run_that_begins_inside_a_block_makes_a_block_there(engine: Make) -> None:
    """Why is a debugger's stop no natural block start?"""
    e = engine("nop\nnop\nhere: nop\nhlt")
    blocks = e.on_blocks()
    e.run()
    e.run(e.labels["here"])
    assert blocks == [(CODE, 4), (e.labels["here"], 2)]


def test_instruction_after_sti_is_a_block_without_interrupts(engine: Make) -> None:
    """Does the blob show the shadow of STI, for just one instruction?"""
    e = engine("sti\none: nop\ntwo: nop\nhlt")
    blocks: list[tuple[int, bool]] = []

    def hook(_uc: int, address: int, _size: int, _data: int) -> None:
        inhibited = e.save().u32[e.layout.hflags >> 2] & HF_INHIBIT_IRQ
        blocks.append((address, bool(inhibited)))

    e.on(binding.UC_HOOK_BLOCK, binding.BLOCK_HOOK, hook)
    e.run()
    assert blocks == [(CODE, False), (e.labels["one"], True), (e.labels["two"], False)]


def test_code_that_the_host_rewrites_stays_translated_until_a_flush(engine: Make) -> None:
    """Must translations be dropped after a store through the mapping?"""
    e = engine("mov eax, 1\nhlt")
    e.run()
    e.ram.u8[CODE + 1] = 2
    e.run()
    assert e["rax"] == 1
    binding.flush_tb(e.uc)
    e.run()
    assert e["rax"] == 2


def test_translations_of_a_physical_range_can_be_dropped_alone(engine: Make) -> None:
    """Does forget_code drop those of its bytes, and no others?"""
    e = engine("mov eax, 1\njmp far\n.balign 64\nfar: mov ebx, 1\nhlt")
    e.run()
    e.ram.u8[CODE + 1] = 2
    e.ram.u8[CODE + 65] = 2
    binding.forget_code(e.uc, CODE, CODE + 5)
    e.run()
    assert (e["rax"], e["rbx"]) == (2, 1)


def test_code_that_the_guest_rewrites_is_translated_anew(engine: Make) -> None:
    """Is a store to code seen, even in the block that is running?"""
    e = engine("mov byte ptr [rip + here + 1], 7\nhere: mov eax, 1\nhlt")
    blocks = e.on_blocks()
    e.run()
    assert e["rax"] == 7
    # The block begins again at the store; control.py tells what that does to the clock.
    assert len(blocks) > 1


def test_translation_of_an_address_is_stale_until_invlpg(engine: Make) -> None:
    """Is there a TLB, as on hardware?"""
    e = engine(f"mov ebx, {DATA}\nmov eax, [rbx]\nhlt\nsecond: mov ecx, [rbx]\ninvlpg [rbx]\n"
               "mov edx, [rbx]\nhlt")
    e.ram.u64[DATA >> 3], e.ram.u64[(DATA + 0x1000) >> 3] = 1, 2
    e.run()
    e.ram.u64[e.pte(DATA)] += 0x1000
    e.run(e.labels["second"])
    assert (e["rax"], e["rcx"], e["rdx"]) == (1, 1, 2)


@pytest.mark.parametrize("how", ["guest", "host", "flush"])
def test_translation_of_an_address_is_fresh_after_a_cr3_load(engine: Make, how: str) -> None:
    """Do MOV to CR3, uc_reg_write of CR3 and the flush each empty the TLB?"""
    e = engine(f"mov ebx, {DATA}\nmov eax, [rbx]\nhlt\nsecond: mov rax, cr3\nmov cr3, rax\n"
               "third: mov ecx, [rbx]\nhlt")
    e.ram.u64[DATA >> 3], e.ram.u64[(DATA + 0x1000) >> 3] = 1, 2
    e.run()
    e.ram.u64[e.pte(DATA)] += 0x1000
    if how == "host":
        e["cr3"] = PML4
    elif how == "flush":
        binding.flush_tlb(e.uc)
    e.run(e.labels["second" if how == "guest" else "third"])
    assert e["rcx"] == 2


# Paging


@pytest.mark.parametrize(("bit", "ring", "access", "error"), [
    (PTE.US, 3, "mov eax, [rbx]", PageFaultError.P | PageFaultError.U),
    (PTE.RW, 3, "mov [rbx], eax", PageFaultError.P | PageFaultError.W | PageFaultError.U),
    (PTE.RW, 0, "mov [rbx], eax", PageFaultError.P | PageFaultError.W),
    (PTE.NX, 0, "jmp rbx", PageFaultError.P | PageFaultError.I),
    (PTE.P, 0, "mov eax, [rbx]", PageFaultError(0)),
])
def test_page_rights_are_enforced(engine: Make, bit: PTE, ring: int, access: str,
                                  error: PageFaultError) -> None:
    """Are P, R/W with WP, U/S and NX the engine's own work?"""
    e = engine(f"mov ebx, {DATA}\nbad: {access}\nhlt", ring=ring)
    e.ram.u64[e.pte(DATA)] ^= bit
    e.on_intr()
    e.run()
    assert e.intr == [(Vector.PF, DATA if access == "jmp rbx" else e.labels["bad"], error, False)]


def test_walk_sets_accessed_and_dirty(engine: Make) -> None:
    """Does the engine keep A and D in the tables?"""
    e = engine(f"mov ebx, {DATA}\nmov eax, [rbx]\nhlt\nsecond: mov [rbx], eax\nhlt")
    e.run()
    assert e.ram.u64[e.pte(DATA)] & (PTE.A | PTE.D) == PTE.A
    e.run(e.labels["second"])
    assert e.ram.u64[e.pte(DATA)] & (PTE.A | PTE.D) == PTE.A | PTE.D


def test_access_to_a_non_canonical_address_is_gp(engine: Make) -> None:
    """And not #PF?"""
    e = engine("mov rbx, 0x800000000000\nbad: mov eax, [rbx]\nhlt")
    e.on_intr()
    e.run()
    assert e.intr == [(Vector.GP, e.labels["bad"], 0, False)]


# Physical memory outside RAM


def _bus(e: Engine) -> list[tuple[str, int, int, int]]:
    """Map everything outside RAM; reads give all ones.  Record kind, pa, size and RIP."""
    seen: list[tuple[str, int, int, int]] = []

    def read(_uc: int, offset: int, size: int, _data: int) -> int:
        seen.append(("load", RAM_SIZE + offset, size, e["rip"]))
        return (1 << 8 * size) - 1

    def write(_uc: int, offset: int, size: int, _value: int, _data: int) -> None:
        seen.append(("store", RAM_SIZE + offset, size, e["rip"]))

    callbacks = binding.MMIO_READ(read), binding.MMIO_WRITE(write)
    e.callbacks += callbacks
    assert lib.uc_mmio_map(e.uc, RAM_SIZE, (1 << 40) - RAM_SIZE, callbacks[0], c_void_p(),
                           callbacks[1], c_void_p()) == OK
    return seen


def test_access_outside_all_memory_is_an_error(engine: Make) -> None:
    """Why is all of physical memory mapped?"""
    e = engine(f"mov ebx, {DATA}\nmov eax, [rbx]\nhlt")
    e.ram.u64[e.pte(DATA)] = 1 << 30 | PTE.P | PTE.RW
    assert e.run() == unicorn_const.UC_ERR_READ_UNMAPPED


def test_device_access_of_8_bytes_comes_in_halves_with_the_blocks_rip(engine: Make) -> None:
    """In which pieces does a callback see accesses, and is RIP exact there?  (It is not.)"""
    e = engine(f"mov ebx, {DATA}\nmov rax, [rbx]\nmov [rbx + 8], rax\nmov cl, [rbx + 3]\nhlt")
    e.ram.u64[e.pte(DATA)] = 1 << 30 | PTE.P | PTE.RW
    seen = _bus(e)
    assert e.run() == OK
    base = 1 << 30
    assert seen == [
        ("load", base, 4, CODE), ("load", base + 4, 4, CODE),
        ("store", base + 8, 4, CODE), ("store", base + 12, 4, CODE),
        ("load", base + 3, 1, CODE)]
    assert e["rax"] == (1 << 64) - 1


def test_general_registers_are_exact_in_a_device_access(engine: Make) -> None:
    """Can an operand's address be worked out inside the callback?"""
    e = engine(f"mov ebx, {DATA}\nadd ebx, 8\nmov ecx, 5\nmov eax, [rbx + rcx * 4]\nmov ecx, 6\n"
               "hlt")
    e.ram.u64[e.pte(DATA)] = 1 << 30 | PTE.P | PTE.RW
    seen: list[tuple[int, int]] = []

    def read(_uc: int, _offset: int, _size: int, _data: int) -> int:
        regs = e.save().u64[e.layout.regs >> 3 :]
        seen.append((regs[GENERAL.index("rbx")], regs[GENERAL.index("rcx")]))
        return 0

    callback = binding.MMIO_READ(read)
    e.callbacks.append(callback)
    lib.uc_mmio_map(e.uc, 1 << 30, 0x1000, callback, c_void_p(), None, c_void_p())
    e.run()
    assert seen == [(DATA + 8, 5)]


def test_walk_through_tables_outside_ram_reads_the_bus(engine: Make) -> None:
    """Is all ones there a reserved-bit fault, so that nothing is reachable?"""
    e = engine(f"mov ebx, {DATA}\nbad: mov eax, [rbx]\nhlt")
    e.ram.u64[PD >> 3] = 1 << 30 | PTE.P | PTE.RW | PTE.US
    seen = _bus(e)
    e.on_intr()
    e.run()
    assert e.intr == [(Vector.PF, CODE, PageFaultError.P | PageFaultError.RSVD | PageFaultError.I,
                       False)]
    assert [(kind, pa) for kind, pa, *_ in seen] == [
        ("load", (1 << 30) + (CODE >> 12) * 8), ("load", (1 << 30) + (CODE >> 12) * 8 + 4)]


def test_fetch_outside_ram_is_an_error_at_its_rip(engine: Make) -> None:
    """Which error does Cpu.run have to turn into #UD?"""
    e = engine(f"mov ebx, {DATA}\njmp rbx")
    e.ram.u64[e.pte(DATA)] = 1 << 30 | PTE.P | PTE.RW
    _bus(e)
    assert e.run() in (binding.UC_ERR_FETCH_PROT, binding.UC_ERR_FETCH_UNMAPPED)
    assert e["rip"] == DATA
    assert e.run(CODE) in (binding.UC_ERR_FETCH_PROT, binding.UC_ERR_FETCH_UNMAPPED)


# The engine's abort


def test_abort_of_the_engine_can_be_caught() -> None:
    """Are the slot of abort, the state of the CPU, and the functions of its inside, all found?

    bad: a program in ring 3 can end the process; see emulator/cpu/abort.py.
    """
    uc = binding.open_engine()
    assert abort._slot(b"abort") is not None
    state = abort.cpu_state(uc)
    assert state is not None
    cell = c_uint64(0x1234_5678)
    lib.uc_reg_write(uc, REGISTERS["rbx"], ctypes.byref(cell))
    assert c_uint64.from_address(state + 8 * GENERAL.index("rbx")).value == 0x1234_5678
    assert hasattr(lib, "raise_exception_x86_64")
    assert hasattr(lib, "cpu_x86_update_dr7_x86_64")
    entry = abort.code().entry["on_abort"]
    assert c_uint64.from_address(abort._slot(b"abort") or 0).value == entry
    lib.uc_close(uc)


def test_each_engines_state_is_found_wherever_another_ones_was(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a place that was right for one engine by chance not taken for that of all?"""
    monkeypatch.setattr(abort, "_known", [(0, 64), (8, 1 << 20)])
    engines = [binding.open_engine() for _ in range(3)]
    states = {abort.cpu_state(uc) for uc in engines}
    assert len(states) == 3
    assert None not in states
    for uc in engines:
        lib.uc_close(uc)


def test_abort_outside_a_run_is_the_c_librarys() -> None:
    """Does the engine still end the process where nobody can go on?"""
    program = """
import ctypes
from emulator.cpu import abort
ctypes.CFUNCTYPE(None)(abort.code().entry["on_abort"])()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGABRT, ended.stderr


# Time and identity


@pytest.mark.parametrize(("source", "number"), [("rdtsc", binding.UC_X86_INS_RDTSC),
                                                ("rdtscp", binding.UC_X86_INS_RDTSCP)])
def test_rdtsc_hook_answers_for_the_clock_at_an_exact_rip(engine: Make, source: str,
                                                          number: int) -> None:
    """Can the host's clock be kept out, in either ring?"""
    e = engine(f"nop\nbad: {source}\nhlt", ring=3)
    seen: list[int] = []

    def hook(_uc: int, _data: int) -> int:
        seen.append(e["rip"])
        e["rax"], e["rdx"] = 7, 8
        return 1

    e.on(binding.UC_HOOK_INSN, binding.HANDLED_HOOK, hook, number)
    e.on_intr()
    e.run()
    assert seen == [e.labels["bad"]]
    assert (e["rax"], e["rdx"]) == (7, 8)


def test_rdtsc_without_a_hook_reads_the_hosts_clock(engine: Make) -> None:
    """Why is it hooked?"""
    e = engine("rdtsc\nmov ebx, eax\nrdtsc\nhlt")
    e.run()
    assert e["rdx"] | e["rax"]


def cpuid(e: Engine, leaf: int) -> tuple[int, int, int, int]:
    code, _ = assemble(f"mov eax, {leaf:#x}\nxor ecx, ecx\ncpuid\nhlt", CODE)
    e.ram.write(CODE, code)
    binding.flush_tb(e.uc)
    e.run()
    return e["rax"], e["rbx"], e["rcx"], e["rdx"]


def test_cpuid_offers_what_the_machine_has(engine: Make) -> None:
    """No randomness of the host's, no AVX, and the features that programs for x86-64-v2 need?"""
    e = engine()
    _, _, ecx, edx = cpuid(e, 1)
    have = {"sse3": 0, "ssse3": 9, "cx16": 13, "sse4_1": 19, "sse4_2": 20, "popcnt": 23,
            "hypervisor": 31}
    lack = {"monitor": 3, "vmx": 5, "osxsave": 27, "avx": 28, "f16c": 29, "rdrand": 30}
    assert all(ecx >> bit & 1 for bit in have.values())
    assert not any(ecx >> bit & 1 for bit in lack.values())
    assert edx >> 25 & 3 == 3  # SSE, SSE2
    assert cpuid(e, 7)[1] == 0  # no AVX2, RDSEED, SMEP, SMAP, FSGSBASE
    _, _, ecx, edx = cpuid(e, 0x8000_0001)
    assert edx >> 11 & 1  # SYSCALL
    assert edx >> 20 & 1  # NX
    assert edx >> 27 & 1  # RDTSCP
    assert edx >> 29 & 1  # long mode
    assert not edx >> 26 & 1  # no pages of 1 GiB advertised
    assert cpuid(e, 0x8000_0008)[0] & 0xFFFF == 0x3028  # 40 and 48 bits of address


def test_reserved_bits_of_cr4_are_not_refused(engine: Make) -> None:
    """One of the differences from a processor that cpu.py lists?"""
    e = engine("mov rax, cr4\nbts rax, 20\nmov cr4, rax\nmov rbx, cr4\nhlt")
    e.enter(0)
    e.ram.u64[e.pte(CODE)] &= ~PTE.US
    e.on_intr()
    e.run()
    assert e["rbx"] >> 20 & 1


def test_string_of_a_page_crossing_block_is_counted_once(engine: Make) -> None:
    """Does a block that crosses a page come as one block, with its whole size?"""
    e = engine()
    start = CODE + 0xFFD
    e.ram.write(start, b"\x90\xb8\x01\x00\x00\x00\xf4")
    blocks = e.on_blocks()
    e.run(start)
    assert sum(size for _, size in blocks) == 7
    assert e["rax"] == 1

"""Is the kernel image what the declarations and the manual say, read with another reader's eyes?"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import capstone
import pytest
from elftools.elf.elffile import ELFFile

from emulator.arch import descriptors
from emulator.arch.exceptions import Vector
from emulator.arch.registers import RFLAGS
from guest_kernel import image
from guest_kernel.errors import Errno
from guest_kernel.layout.declare import KERNEL_LOAD, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import pcpu_hot
from guest_kernel.syscall_table import load
from ringlet.session import Session
from userland.assembler import assemble_program
from userland.numbers import syscall_numbers

PAGE = 4096
PF_X, PF_W, PF_R = 1, 2, 4


class Symbol(NamedTuple):
    address: int
    size: int
    kind: str
    section: str


@cache
def elf() -> ELFFile:
    return ELFFile(io.BytesIO(image.build()))


@cache
def symbols() -> dict[str, Symbol]:
    sections = [section.name for section in elf().iter_sections()]
    return {
        s.name: Symbol(s["st_value"], s["st_size"], s["st_info"]["type"], sections[s["st_shndx"]])
        for s in elf().get_section_by_name(".symtab").iter_symbols() if s.name}


def content(name: str, size: int | None = None) -> bytes:
    """Return the bytes of a symbol."""
    symbol = symbols()[name]
    section = elf().get_section_by_name(symbol.section)
    start = symbol.address - section["sh_addr"]
    return bytes(section.data()[start : start + (symbol.size if size is None else size)])


def instructions(name: str) -> list[str]:
    code, address = content(name), symbols()[name].address
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    return [f"{i.mnemonic} {i.op_str}".strip() for i in engine.disasm(code, address)]


# ---- Segments and sections


def test_segments_are_write_xor_execute_and_load_where_linked() -> None:
    """Is each segment R-X, R-- or RW-, at its physical address, with .bss behind .data?"""
    loads = [s for s in elf().iter_segments() if s["p_type"] == "PT_LOAD"]
    assert [s["p_flags"] for s in loads] == [PF_R | PF_X, PF_R, PF_R | PF_W]
    for segment in loads:
        assert segment["p_vaddr"] - segment["p_paddr"] == START_KERNEL_MAP
        assert segment["p_vaddr"] % PAGE == segment["p_memsz"] % PAGE == 0
    bss = elf().get_section_by_name(".bss")
    assert loads[-1]["p_memsz"] - loads[-1]["p_filesz"] == bss["sh_size"] > 0


def test_sections_meet_at_the_labels() -> None:
    """Do the linker's names say where each section begins and ends, as in Linux?"""
    starts = {s.name: s["sh_addr"] for s in elf().iter_sections() if s["sh_addr"]}
    at = {name: symbols()[name].address
          for name in ("_text", "_etext", "__end_rodata", "_edata", "_end")}
    assert starts == {".text": at["_text"], ".rodata": at["_etext"], ".data": at["__end_rodata"],
                      ".bss": at["_edata"]}
    assert at["_text"] == START_KERNEL_MAP + KERNEL_LOAD
    bss = elf().get_section_by_name(".bss")
    assert at["_end"] == bss["sh_addr"] + bss["sh_size"]
    assert elf().header["e_entry"] == symbols()["startup_64"].address - START_KERNEL_MAP


def test_symbols_lie_where_they_belong() -> None:
    """Are functions in text, tables in rodata, and may nothing in text be data?"""
    for name, symbol in symbols().items():
        assert (symbol.kind == "STT_FUNC") == (symbol.section == ".text"), name
    for name, section in (("entry_SYSCALL_64", ".text"), ("sys_call_table", ".rodata"),
                          ("idt_table", ".rodata"), ("gdt_page", ".data"), ("cpu_tss", ".data"),
                          ("init_stack", ".data"), ("pcpu_hot", ".bss")):
        assert symbols()[name].section == section


def test_globals_have_their_size_and_their_fields_are_symbols() -> None:
    """Is every structure of globals in .bss, apart from the others, with a symbol a field?"""
    end = 0
    for kind in sorted(image.GLOBALS, key=lambda kind: symbols()[kind.__name__].address):
        symbol = symbols()[kind.__name__]
        assert (symbol.size, symbol.section, symbol.address % 64) == (kind.size, ".bss", 0)
        assert symbol.address >= end
        end = symbol.address + kind.size
        if kind is pcpu_hot:
            continue
        for name, field in kind.fields.items():
            if field.overlay is None:
                found = symbols()[name]
                assert (found.address, found.size) == (symbol.address + field.offset, field.size)


# ---- The processor's tables


class Gate(NamedTuple):
    handler: int
    selector: int
    ist: int
    type: int
    dpl: int
    present: bool


def gate(vector: int) -> Gate:
    """Decode a gate.  See: Intel SDM vol. 3A, "64-Bit Mode IDT"."""
    low, selector, ist, access, middle, high, reserved = struct.unpack_from(
        "<HHBBHII", content("idt_table"), vector * 16)
    assert reserved == 0
    return Gate(high << 32 | middle << 16 | low, selector, ist, access & 0x1F, access >> 5 & 3,
                bool(access & 0x80))


def test_every_vector_has_its_gate() -> None:
    """Does each lead to its own stub, by an interrupt gate that ring 3 may use for INT3, INTO?"""
    stacks = {Vector.NMI: 2, Vector.DF: 1, Vector.MC: 3}
    handlers = set()
    for vector in range(256):
        name = image.EXCEPTION_NAMES.get(vector)
        stub = symbols()[f"asm_exc_{name}" if name else f"irq_entry_{vector}"]
        assert gate(vector) == Gate(stub.address, descriptors.KERNEL_CS, stacks.get(vector, 0), 0xE,
                                    3 if vector in (Vector.BP, Vector.OF) else 0, True)
        handlers.add(stub.address)
    assert len(handlers) == 256


@pytest.mark.parametrize("vector", [0, 3, 7, 8, 9, 10, 13, 14, 15, 17, 18, 32, 255])
def test_stubs_push_what_the_processor_does_not(vector: int) -> None:
    """Is -1 pushed in place of a missing error code, then the vector itself?"""
    name = image.EXCEPTION_NAMES.get(vector)
    code = instructions(f"asm_exc_{name}" if name else f"irq_entry_{vector}")
    # Intel SDM vol. 3A, "Protected-Mode Exceptions and Interrupts"; #CP needs CET, which is off.
    pushes = [] if vector in (8, 10, 11, 12, 13, 14, 17) else ["push -1"]
    assert code[:-1] == [*pushes, f"push {vector:#x}" if vector > 9 else f"push {vector}"]
    assert code[-1] == f"jmp {symbols()['error_entry'].address:#x}"


def test_descriptor_tables_are_found() -> None:
    """Do LGDT and LIDT get the address and the limit of the whole table?"""
    assert struct.unpack("<HQ", content("idt_descr", 10)) == (
        256 * 16 - 1, symbols()["idt_table"].address)
    assert struct.unpack("<HQ", content("gdt_descr", 10)) == (
        symbols()["gdt_page"].size - 1, symbols()["gdt_page"].address)


class Descriptor(NamedTuple):
    dpl: int
    code: bool
    long: bool
    default_32: bool
    writable_or_readable: bool


def test_gdt_holds_flat_segments_in_the_order_of_syscall_and_sysret() -> None:
    """Is each selector's descriptor present, flat, and of the right kind?"""
    table = struct.unpack("<10Q", content("gdt_page"))
    assert table[0] == table[1] == table[7] == 0

    def descriptor(selector: int) -> Descriptor:
        value = table[selector >> 3]
        base = value >> 16 & 0xFF_FFFF | value >> 56 << 24
        assert (base, value & 0xFFFF, value >> 48 & 0xF, value >> 55 & 1) == (0, 0xFFFF, 0xF, 1)
        assert value >> 47 & 1, "present"
        assert value >> 44 & 1, "code or data"
        return Descriptor(value >> 45 & 3, bool(value >> 43 & 1), bool(value >> 53 & 1),
                          bool(value >> 54 & 1), bool(value >> 41 & 1))

    assert descriptor(descriptors.KERNEL_CS) == Descriptor(0, True, True, False, True)
    assert descriptor(descriptors.KERNEL_DS) == Descriptor(0, False, False, True, True)
    assert descriptor(descriptors.USER32_CS) == Descriptor(3, True, False, True, True)
    assert descriptor(descriptors.USER_DS) == Descriptor(3, False, False, True, True)
    assert descriptor(descriptors.USER_CS) == Descriptor(3, True, True, False, True)
    # SYSCALL: SS is CS + 8.  SYSRET: SS is STAR[63:48] + 8, CS that + 16.
    assert descriptors.KERNEL_DS == descriptors.KERNEL_CS + 8
    assert descriptors.USER_DS == descriptors.USER32_CS + 8
    assert descriptors.USER_CS == descriptors.USER32_CS + 16


def test_tss_has_stacks_and_no_port_for_ring_3() -> None:
    """Does the descriptor name the TSS, and the TSS the interrupt stacks' ends?"""
    low, high = struct.unpack_from("<QQ", content("gdt_page"), descriptors.TSS_SELECTOR)
    tss = symbols()["cpu_tss"]
    base = low >> 16 & 0xFF_FFFF | (low >> 56) << 24 | high << 32
    assert (base, low & 0xFFFF | low >> 32 & 0xF_0000) == (tss.address, 104 - 1)
    assert (low >> 40 & 0x1F, low >> 45 & 3, low >> 47 & 1) == (9, 0, 1), "free, DPL 0, present"

    # Intel SDM vol. 3A, "64-Bit TSS Format".
    fields = struct.unpack("<I3QQ7QQHH", content("cpu_tss", 104))
    reserved, rings, ists, io_map_base = fields[0], fields[1:4], fields[5:12], fields[-1]
    assert (reserved, rings) == (0, (0, 0, 0))  # RSP0 is written when the first task runs
    assert io_map_base >= 104
    for number, stack in enumerate(ists, 1):
        if number > len(image.IST):
            assert stack == 0
            continue
        bottom, end = symbols()[f"ist{number}_stack"], symbols()[f"ist{number}_stack_end"]
        assert stack == end.address == bottom.address + image.IST_STACK_SIZE
        assert stack % 16 == 0


def test_early_page_tables_map_the_first_gib_twice() -> None:
    """Do the tables of the first instructions lead to the same frames at 0 and where we link?"""
    tables = {symbols()[f"early_{name}_pgt"].address - START_KERNEL_MAP: content(
        f"early_{name}_pgt", PAGE) for name in ("top", "level3", "level2")}
    top = symbols()["early_top_pgt"].address - START_KERNEL_MAP

    def walk(va: int) -> int:
        table = top
        for shift in (39, 30):
            (entry,) = struct.unpack_from("<Q", tables[table], (va >> shift & 511) * 8)
            assert entry & 0xFFF == 3, hex(entry)  # P, RW; supervisor
            table = entry & ~0xFFF
        (entry,) = struct.unpack_from("<Q", tables[table], (va >> 21 & 511) * 8)
        assert entry & 0x87 == 0x83, hex(entry)  # P, RW, PS
        return entry & ~0x1F_FFFF | va & 0x1F_FFFF

    for pa in (0, KERNEL_LOAD, 0x1234_5678, (1 << 30) - 1):
        assert walk(pa) == walk(START_KERNEL_MAP + pa) == pa
    assert all(address % PAGE == 0 for address in tables)


# ---- System calls


def test_every_row_has_its_symbol_and_its_slot() -> None:
    """Is each number's slot the routine named for its entry point, or the one for ENOSYS?"""
    rows = {row.number: row for row in load()}
    size = (max(rows) + 1) * 8
    slots = struct.unpack(f"<{max(rows) + 1}Q", content("sys_call_table", size))
    missing = symbols()["__x64_sys_ni_syscall"].address
    for number, slot in enumerate(slots):
        row = rows.get(number)
        if row is None or row.entry is None:
            assert slot == missing, number
        else:
            symbol = symbols()[f"__x64_{row.entry}"]
            assert (slot, symbol.section) == (symbol.address, ".text"), row
            assert slot != missing
    used = {f"__x64_{row.entry}" for row in rows.values() if row.entry} | {"__x64_sys_ni_syscall"}
    assert {name for name in symbols() if name.startswith("__x64_")} == used


def test_routines_lead_to_the_hosted_half_or_to_native_code() -> None:
    """Does each jump to where its kind of call is answered?"""
    for row in load():
        if row.entry is not None:
            target = "hosted_fork" if row.entry in image.FORKS else "hosted_syscall"
            if row.entry in image.EXITS:
                target = "hosted_exit"
            if row.entry in image.NATIVE:
                target = f"native_{row.entry}"
            code = instructions(f"__x64_{row.entry}")
            assert code[0] == f"jmp {symbols()[target].address:#x}"


# ---- pt_regs: the order of pushes


def test_comments_name_the_fields_in_the_order_of_the_declaration() -> None:
    """Is each push in entry.asm said to be the field that the declaration has at its place?"""
    macros = Path(image.ASM, "macros.asm").read_text()
    entry = Path(image.ASM, "entry.asm").read_text()
    low = macros[macros.index(".macro PUSH_LOW_REGS") : macros.index(".macro POP_LOW_REGS")]
    pushes = entry[entry.index("entry_SYSCALL_64:") : entry.index("mov rdi, rsp")]
    named = re.findall(r"; pt_regs\.(\w+)$", pushes + low, re.MULTILINE)
    assert named == list(reversed(pt_regs.fields))


REGISTERS: Final = ("rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12",
                    "r13", "r14", "r15")
VALUES: Final = {name: 0x0101_0101_0101_0101 * (index + 2) for index, name in enumerate(REGISTERS)}
# CF PF AF ZF SF IF OF, and bit 1, which is always set.
FLAGS: Final = 0xAD7
RAX: Final = 0xABCD_0123 << 32 | syscall_numbers()["getppid"]  # the number is the low half

PROBE: Final = f"""
.text
_start:
    lea rsp, [rip + stack_end]
    push {FLAGS}
    popfq
{chr(10).join(f"    movabs {name}, {value:#x}" for name, value in VALUES.items())}
    movabs rax, {RAX:#x}
first:
    {{first}}
second:
    {{second}}
.bss
    .balign 16, 0
stack: .zero 4096
stack_end:
"""


class Frame(NamedTuple):
    """What lay in pt_regs when the hosted half was called."""

    call: int
    regs: dict[str, int]


Probe = Callable[[str, str], tuple[dict[str, int], list[Frame]]]


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """A function that runs PROBE and returns its labels and the frames shown to the hosted half."""
    def run(first: str, second: str) -> tuple[dict[str, int], list[Frame]]:
        source = tmp_path / "probe.asm"
        source.write_text(PROBE.format(first=first, second=second))
        program = assemble_program(source)
        labels = {s.name: s["st_value"] for s in ELFFile(io.BytesIO(program)).get_section_by_name(
            ".symtab").iter_symbols()}
        frames: list[Frame] = []
        with Session(seed=1) as session:
            k = session.kernel.k
            serve = session.machine.host_call
            assert serve is not None

            def look(value: int) -> None:
                hot = k.data(pcpu_hot)
                va = hot.top_of_stack - pt_regs.size if value == HostCall.SYSCALL else hot.regs
                if value & 0xFF in (HostCall.SYSCALL, HostCall.EXCEPTION):
                    regs = pt_regs(k, va & PHYSICAL_MASK)
                    if regs.cs & 3:  # of ring 3
                        frames.append(Frame(value, dict(regs.items())))
                serve(value)

            session.machine.host_call = look
            session.install("/bin/probe", program)
            session.run(["/bin/probe"], timeout=1)
        return labels, frames

    return run


def expected(labels: dict[str, int], **changed: int) -> dict[str, int]:
    """Return every field of pt_regs as the program has set it."""
    fields = {name.removeprefix("r") if name[1].isalpha() else name: value
              for name, value in VALUES.items()}
    return fields | {"cs": descriptors.USER_CS, "ss": descriptors.USER_DS, "flags": FLAGS,
                     "sp": labels["stack_end"], "ax": RAX} | changed


def test_pt_regs_holds_each_register_in_its_field_at_a_system_call(probe: Probe) -> None:
    """Is the order of pushes the declaration's, and does SYSRET give every register back?"""
    labels, frames = probe("syscall", "ud2")
    call = next(f for f in frames if f.call == HostCall.SYSCALL)
    ip = labels["second"]
    assert call.regs == expected(labels, ip=ip, cx=ip, r11=FLAGS, orig_ax=RAX,
                                 ax=-Errno.ENOSYS % 2**64)
    trap = frames[-1]
    assert trap.call == HostCall.EXCEPTION | Vector.UD << 8
    # RF, which a fault's frame has set, is all that is new; and the result.
    assert trap.regs == expected(labels, ip=ip, cx=ip, r11=FLAGS, orig_ax=2**64 - 1,
                                 flags=FLAGS | RFLAGS.RF, ax=trap.regs["ax"])
    assert trap.regs["ax"] < 300  # a process number


@pytest.mark.parametrize(("instruction", "vector", "error_code"), [
    ("ud2", Vector.UD, 2**64 - 1), ("hlt", Vector.GP, 0), ("int 14", Vector.GP, 14 * 8 + 2),
    ("mov byte ptr [rip + 0x10000000], 1", Vector.PF, 6),
])
def test_pt_regs_holds_each_register_in_its_field_at_an_exception(
        probe: Probe, instruction: str, vector: int, error_code: int) -> None:
    """Is it the same order behind a stub, and is orig_ax the error code or -1?"""
    labels, frames = probe(instruction, "ud2")
    trap = frames[-1]
    assert trap.call == HostCall.EXCEPTION | vector << 8
    assert trap.regs == expected(labels, ip=labels["first"], orig_ax=error_code,
                                 flags=FLAGS | RFLAGS.RF)


# ---- Building


def test_equal_sources_give_equal_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is the image the same from the cache, anew, and where nothing can be kept?"""
    monkeypatch.setenv("RINGLET_CACHE", str(tmp_path / "one"))
    first = image.build()
    (file,) = (tmp_path / "one").glob("kernel-*")
    assert image.build() == first
    file.write_bytes(file.read_bytes()[:-100])
    assert image.build() == first
    monkeypatch.setenv("RINGLET_CACHE", str(file))  # no directory
    assert image.build() == first
    monkeypatch.setenv("RINGLET_CACHE", "/proc/self")
    assert image.build() == first


def test_a_changed_source_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does the cache tell images of different assembly or numbers apart?"""
    monkeypatch.setenv("RINGLET_CACHE", str(tmp_path / "cache"))
    first = image.build()
    monkeypatch.setattr(image, "HOST_CALL_PORT", image.HOST_CALL_PORT + 1)
    assert image.build() != first
    monkeypatch.undo()
    monkeypatch.setenv("RINGLET_CACHE", str(tmp_path / "cache"))
    assert image.build() == first
    assert len(list((tmp_path / "cache").glob("kernel-*"))) == 2

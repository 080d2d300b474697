"""What Keystone gets wrong, what we do about it, and all our assembly against GNU as.

The first part pins the facts on which ``emulator/assembler.py`` is built: when a release of
Keystone changes one, a test here says so.  The last part assembles every file a second time, with
GNU as, and compares the two results instruction by instruction.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import capstone
import keystone
import pytest
from capstone import x86_const
from elftools.elf.elffile import ELFFile

from emulator import assembler
from emulator.assembler import AssemblyError, Section, assemble, assemble_sections, cached
from emulator.cpu import binding, native
from emulator.cpu.context import measure
from emulator.cpu.cpu import HOST_CALL_PORT
from guest_kernel import image
from guest_kernel.syscall_table import load
from userland.assembler import _ALIGNMENTS, TEXT_ADDRESS, _lines
from userland.numbers import assembler_symbols

ROOT: Final = Path(__file__).resolve().parents[2]
ADDRESS: Final = 0x1000
SYMBOLS: Final = "A = 0x10\nB = 3\n"

_DISASSEMBLER: Final = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
_DISASSEMBLER.detail = True


def raw(text: str) -> bytes:
    """Return what Keystone itself makes of a text."""
    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    code, _ = engine.asm(text, ADDRESS, as_bytes=True)
    return bytes(code or b"")


def disassemble(code: bytes) -> list[str]:
    return [f"{i.mnemonic} {i.op_str}".strip() for i in _DISASSEMBLER.disasm(code, ADDRESS)]


# ---- Facts about Keystone


@pytest.mark.parametrize(("text", "code"), [
    (".macro twice what\n\\what\n\\what\n.endm\ntwice nop", b"\x90\x90"),
    (".altmacro\n.macro m x\n.byte \\x\n.endm\nm 5", b"\x05"),
    (".set i, 1\n.rept 3\n.byte i\n.set i, i + 1\n.endr", b"\x01\x02\x03"),
    (".equ four, 4\n.byte four", b"\x04"),
    ("four = 4\n.byte four", b"\x04"),
    ("here: .quad here", ADDRESS.to_bytes(8, "little")),
    ('.ascii "ab"\n.asciz "c;#"', b"abc;#\0"),
    (".zero 3\n.fill 2, 1, 7", b"\0\0\0\7\7"),
    (".byte 1\n.balign 4, 9\n.p2align 3, 8", b"\1\x09\x09\x09\x08\x08\x08\x08"),
    (".if 0\nnop\n.else\nhlt\n.endif", b"\xf4"),
    (".Lhere: jmp .Lhere", b"\xeb\xfe"),
    ("mov rax, gs:[rcx + 8]", b"\x65\x48\x8b\x41\x08"),
    ("lea rax, [rip + next]\nnext:", b"\x48\x8d\x05\0\0\0\0"),
    ("a: nop\nb: mov al, b - a", b"\x90\xb0\x01"),
    ("mov al, ';'", b"\xb0;"),
])
def test_keystone_takes_what_we_write(text: str, code: bytes) -> None:
    """Do the directives and forms that our files use still come out as before?"""
    assert raw(text) == code


def test_alignment_is_of_the_address_and_fills_with_nops() -> None:
    """Does .balign look at the address, not at the offset, and must data give its own filling?"""
    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    code, _ = engine.asm(".byte 1\n.balign 16", 0x1008, as_bytes=True)
    assert len(code) == 8
    assert disassemble(code[1:])[0].startswith("nop")


@pytest.mark.parametrize(("text", "becomes"), [
    ("mov rax, gs:[32]", "movabs rax, qword ptr gs:[0x20]"),  # the accumulator's own form
    ("mov eax, [0x2000]", "movabs eax, dword ptr [0x2000]"),
    ("mov rsp, gs:[8]", "mov rsp, qword ptr gs:[rip + 8]"),  # the number as the distance: wrong
    ("mov rdi, [0x2000]", "mov rdi, qword ptr [rip + 0x2000]"),
    ("mov [0x2000], rdi", "mov qword ptr [rip + 0xff9], rdi"),  # the right distance, from 0x1000
    ("mov ecx, [0x2000]", "mov ecx, dword ptr [rip + 0xffa]"),
    ("push qword ptr gs:[8]", "push qword ptr gs:[rip - 0xfff]"),
])
def test_absolute_operands(text: str, becomes: str) -> None:
    """Are operands without a register still right for the accumulator only?"""
    assert disassemble(raw(text)) == [becomes]


@pytest.mark.parametrize(("text", "becomes"), [
    ("mov rax, [rsp + A - B]", "mov rax, qword ptr [rsp + 3]"),
    ("mov rax, [rsp + A + B + 4]", "mov rax, qword ptr [rsp + 7]"),
    ("mov rax, [rsp + rcx*8 - B]", "mov rax, qword ptr [rsp + rcx*8 + 3]"),
    ("mov rax, [rsp - A]", "mov rax, qword ptr [rsp + 0x10]"),
    ("mov rax, [rsp + A*2]", "mov rax, qword ptr [rsp + 0x10]"),
    ("and rax, -A", "and rax, qword ptr [rip - 0xff7]"),
    ("mov eax, ~A", "movabs eax, dword ptr [0x10]"),
    ("mov eax, 5 + A", "movabs eax, dword ptr [0x10]"),
    ("push -A", "push qword ptr [rip - 0xff6]"),
    ("mov rax, [rip + A]", "mov rax, qword ptr [rip + 0x10]"),
])
def test_what_comes_out_wrong_is_refused(text: str, becomes: str) -> None:
    """Does Keystone still assemble these to something else, and do we refuse them?"""
    assert disassemble(raw(SYMBOLS + text)) == [becomes]
    for source, symbols in ((SYMBOLS + text, {}), (text, {"A": 0x10, "B": 3}),
                            (f".equ A, 16\n.set B, 3\nlabel: {text} ; why", {})):
        with pytest.raises(AssemblyError, match=re.escape(text)):
            assemble(source, ADDRESS, symbols)


@pytest.mark.parametrize(("text", "becomes"), [
    ("C = A - B\nmov rax, [rsp + C]", "mov rax, qword ptr [rsp + 0xd]"),
    ("C = -A\nmov rax, [rsp + C]", "mov rax, qword ptr [rsp - 0x10]"),
    ("C = -A\nand rax, C", "and rax, 0xfffffffffffffff0"),
    ("mov rax, [rsp + A - 4]", "mov rax, qword ptr [rsp + 0xc]"),
    ("mov rax, [rsp + rcx*8 - 8]", "mov rax, qword ptr [rsp + rcx*8 - 8]"),
    ("mov rax, [r8 + A + 8]", "mov rax, qword ptr [r8 + 0x18]"),
    ("mov rax, [eax + A]", "mov rax, qword ptr [eax + 0x10]"),
    ("mov eax, A - B", "mov eax, 0xd"),
    ("mov eax, A | B", "mov eax, 0x13"),
    ("mov eax, A << 3", "mov eax, 0x80"),
    ("mov eax, -16", "mov eax, 0xfffffff0"),
    ("here: lea rax, [rip + here + 4]", "lea rax, [rip - 3]"),
    ("mov byte ptr [rsp], '-'", "mov byte ptr [rsp], 0x2d"),
])
def test_what_comes_out_right_is_taken(text: str, becomes: str) -> None:
    """Are the forms beside the refused ones right, and taken?"""
    code, _ = assemble(SYMBOLS + text, ADDRESS)
    assert disassemble(code) == [becomes]


@pytest.mark.parametrize("text", ["1: jmp 1b", "endbr64", "sysretq"])
def test_keystone_fails_on(text: str) -> None:
    """Are numeric labels and a few mnemonics still refused?"""
    with pytest.raises(keystone.KsError):
        raw(text)


def test_keystone_ignores_include_and_we_refuse_it() -> None:
    """Is a missing file silence for Keystone, and an error for us?"""
    assert raw('nop\n.include "x"\nnop') == b"\x90\x90"
    with pytest.raises(AssemblyError, match="include"):
        assemble('nop\n.include "x"\nnop')


def test_a_section_switch_crashes_keystone_and_not_us() -> None:
    """Does the process still die of .text, and is it an ordinary directive here?"""
    script = ("import keystone\n"
              "keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64).asm('.text\\nnop', 0)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGSEGV
    assert assemble(".text\nnop") == (b"\x90", {})
    for line in (".data", ".section .text", ".text 1", "  .bss"):
        with pytest.raises(AssemblyError, match="no such section"):
            assemble(f"nop\n{line}\nnop")


# ---- Our assembler


def test_labels_are_told_except_local_and_macro_ones() -> None:
    """Is each label there with its address, once, whatever stands beside it?"""
    _, labels = assemble("""
        one: nop
        .Ltwo: jmp .Ltwo
    .macro wait
        hlt ; three: four:
    .endm
        wait
        five:
        six: .byte 0
        seven = 7
    """, ADDRESS)
    assert labels == {"one": 0x1000, "five": 0x1004, "six": 0x1004}


def test_comments_end_where_strings_do_not() -> None:
    """Is a semicolon a comment, except in quotes?"""
    code, _ = assemble('.ascii "a;b\\";c" ; d "e"\nmov al, \';\' ; it\'s\n; nop\nnop;nop')
    assert code == b'a;b";c\xb0;\x90'


def test_sections_follow_each_other_in_the_order_asked_for() -> None:
    """Do pieces of a section meet, at the alignment asked for, with labels across sections?"""
    sections, labels = assemble_sections("""
        lea rax, [rip + value]
    .data
    value: .quad start
    .text
    start: .quad zeros
    .bss
    zeros: .zero 5
    .data
        .byte 7
    """, 0x1000, {".text": 16, ".rodata": 64, ".data": 4096, ".bss": 1})
    assert labels == {"value": 0x2000, "start": 0x1007, "zeros": 0x2009}
    assert sections == [
        Section(".text", 0x1000, b"\x48\x8d\x05\xf9\x0f\0\0\x09\x20\0\0\0\0\0\0"),
        Section(".rodata", 0x1040, b""),
        Section(".data", 0x2000, b"\x07\x10\0\0\0\0\0\0\x07"),
        Section(".bss", 0x2009, bytes(5)),
    ]


def test_an_unaligned_start_moves_the_first_section() -> None:
    """Are the bytes the section's own if it begins behind the address?"""
    (text,), labels = assemble_sections("here: hlt", 0x1001, {".text": 16})
    assert (text, labels) == (Section(".text", 0x1010, b"\xf4"), {"here": 0x1010})


def test_bss_holds_zeros_only() -> None:
    """Is data in .bss an error?"""
    with pytest.raises(AssemblyError, match=r"\.bss"):
        assemble_sections(".bss\n.zero 8\n.byte 1", 0, {".text": 1, ".bss": 1})


@pytest.mark.parametrize(("source", "message"), [
    ("nop\nmvo eax, 1 ; no such thing\nnop", r"KS_ERR_ASM_MNEMONICFAIL.*: mvo eax, 1$"),
    ("nop\nmov eax, [rbx + lost]\nnop", r": lost$"),
    ("jmp lost", r": lost$"),
    ("x: nop\nx: nop\nhlt", r": x: nop$"),
    (".macro two a\nmov eax, \\a\nmov \\a, 1\n.endm\nnop\ntwo 5\nnop", r": two 5$"),
    ("nop\n" * 500 + "mov [eax], [ebx]\n" + "nop\n" * 500, r": mov \[eax\], \[ebx\]$"),
])
def test_an_error_names_the_line_or_the_symbol(source: str, message: str) -> None:
    """Does one see where the mistake is?"""
    with pytest.raises(AssemblyError, match=message):
        assemble(source)


def leave_base_16_behind() -> None:
    """Let an engine that reads numbers as hexadecimal leave its memory to the next one."""
    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    engine.sym_resolver = lambda symbol, value: False


def test_keystone_leaves_the_base_of_numbers_to_chance() -> None:
    """Is the quirk still there that the assembler looks out for?"""
    leave_base_16_behind()
    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    code, _ = engine.asm("mov eax, 10", 0, as_bytes=True)
    assert code == bytes((0xB8, 0x10, 0, 0, 0))


def test_numbers_are_decimal_whatever_memory_an_engine_gets() -> None:
    """Is 10 ten, also after an engine for which it was sixteen?"""
    for _ in range(20):
        leave_base_16_behind()
        assert assemble("mov eax, 10", 0)[0] == bytes((0xB8, 10, 0, 0, 0))


def test_symbols_may_be_negative_or_large() -> None:
    """Do numbers from outside arrive unchanged?"""
    code, _ = assemble(".quad A, B, C", 0, {"A": -38, "B": 2**64 - 1, "C": 2**63})
    assert code == b"".join((v % 2**64).to_bytes(8, "little") for v in (-38, 2**64 - 1, 2**63))


def test_every_file_has_one_comment_sign() -> None:
    """Do all assembly files comment with a semicolon?"""
    files = [path for folder in ("emulator", "guest_kernel", "userland")
             for path in (ROOT / folder).rglob("*") if path.suffix in (".asm", ".inc")]
    assert len(files) > 10
    for path in files:
        for line in path.read_text().splitlines():
            code = re.sub(r"""("[^"]*"|'[^']*')|;.*""", "", line)
            assert "#" not in code, f"{path}: {line}"
            assert "//" not in code, f"{path}: {line}"


# ---- The cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("RINGLET_CACHE", str(place))
    return place


def test_cache_keeps_by_key(cache: Path) -> None:
    """Is the same key built once, and another anew?"""
    assert cached("kind", b"1", lambda: b"one") == b"one"
    assert cached("kind", b"1", lambda: b"not asked") == b"one"
    assert cached("kind", b"2", lambda: b"two") == b"two"
    assert cached("other", b"1", lambda: b"three") == b"three"
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:-1], lambda data: data[:20], lambda data: data + b"x",
    lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
], ids=["empty", "short", "very short", "long", "changed"])
def test_a_damaged_file_is_built_again(cache: Path, damage: Any) -> None:
    """Is a file that is not what was written replaced?"""
    cached("kind", b"1", lambda: b"a result of some length")
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert cached("kind", b"1", lambda: b"a result of some length") == b"a result of some length"
    assert list(cache.iterdir()) == [file]
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_made_or_written_is_done_without(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is the result returned all the same, with nothing left behind?"""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RINGLET_CACHE", str(tmp_path / "file" / "cache"))
    assert assembler.cache_directory() is None
    assert cached("kind", b"1", lambda: b"result") == b"result"

    monkeypatch.setenv("RINGLET_CACHE", "/proc/self")  # there, but no file can be made in it
    assert cached("kind", b"1", lambda: b"result") == b"result"

    place = tmp_path / "full"
    monkeypatch.setenv("RINGLET_CACHE", str(place))

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    assert cached("kind", b"1", lambda: b"result") == b"result"
    assert list(place.iterdir()) == []


def test_the_cache_has_a_place_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is it the user's cache directory?"""
    monkeypatch.delenv("RINGLET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert assembler.cache_directory() == str(tmp_path / "ringlet")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert assembler.cache_directory() == str(tmp_path / ".cache" / "ringlet")


# ---- Everything, against GNU as
#
# The two choose different encodings, so addresses differ.  What is compared is each instruction's
# meaning: its mnemonic and its operands, with a code address written as the label before it and the
# number of instructions from there.


@dataclass
class Program:
    """An assembled text: its sections by name, and the labels' addresses."""

    sections: dict[str, Section]
    labels: dict[str, int]


def by_keystone(source: str, address: int, alignments: Mapping[str, int],
                symbols: Mapping[str, int]) -> Program:
    sections, labels = assemble_sections(source, address, alignments, symbols)
    return Program({section.name: section for section in sections}, labels)


def by_gnu_as(source: str, symbols: Mapping[str, int], like: Program, folder: Path) -> Program:
    """Assemble and link with the GNU tools, each section where ``like`` has it."""
    if not (shutil.which("as") and shutil.which("ld")):
        pytest.skip("not here: GNU as and ld (Debian: apt install binutils)")
    lines = [".intel_syntax noprefix", *(f"{name} = {value}" for name, value in symbols.items())]
    for line in source.splitlines():
        line = re.sub(r"""("[^"]*"|'[^']*')|\s*;.*""", r"\1", line)
        line = re.sub(r"^\s*\.rodata\s*$", '.section .rodata, "a"', line)
        # It would put a jump in front of so many NOPs.
        line = re.sub(r"^(\s*\.balign \d+)$", r"\1, 0xcc", line)
        # A bare label is what lies there.
        lines.append(re.sub(r"(movabs \w+, )([a-z]\w*)$", r"\1offset \2", line))
    text, obj, linked = folder / "text.s", folder / "text.o", folder / "linked"
    text.write_text("\n".join(lines) + "\n")
    subprocess.run(["as", "--64", "-o", obj, text], check=True)
    places = [f"--section-start={section.name}={section.address:#x}"
              for section in like.sections.values() if section.data]
    subprocess.run(["ld", "-static", "-e", "0", *places, "-o", linked, obj], check=True)
    with linked.open("rb") as file:
        elf = ELFFile(file)
        sections = {
            section.name: Section(section.name, section["sh_addr"],
                                  b"" if section.name == ".bss"
                                  else section.data())
            for section in elf.iter_sections() if section.name in like.sections}
        labels = {symbol.name: symbol["st_value"]
                  for symbol in elf.get_section_by_name(".symtab").iter_symbols()
                  if symbol.name in like.labels}
    return Program(sections, labels)


Meaning = tuple[object, ...]

_FILLING: Final = (x86_const.X86_INS_NOP, x86_const.X86_INS_INT3)


def meaning(program: Program) -> tuple[dict[str, list[Meaning]], dict[str, list[object]]]:
    """Return the instructions behind each label of the text, and the other sections' words."""
    text = program.sections[".text"]
    end = text.address + len(text.data)
    names: dict[int, str] = {}
    for name, address in sorted(program.labels.items()):
        if text.address <= address < end:
            names[address] = f"{names[address]} {name}" if address in names else name
    names.setdefault(text.address, "(start)")
    starts = sorted(names)
    routines: dict[str, list[Any]] = {}
    places: dict[int, tuple[str, int]] = {}
    for start, following in zip(starts, [*starts[1:], end], strict=True):
        code = text.data[start - text.address : following - text.address]
        routine = list(_DISASSEMBLER.disasm(code, start))
        assert sum(i.size for i in routine) == len(code), f"{names[start]}: not code to the end"
        while routine and following == end and routine[-1].id in _FILLING:
            routine.pop()
        routines[names[start]] = routine
        places |= {i.address: (names[start], n) for n, i in enumerate(routine)}
        # A jump may lead to the end of a routine that a filling follows.
        if routine:
            places.setdefault(routine[-1].address + routine[-1].size, (names[start], len(routine)))
    words = {name: [places.get(word, word) for (word,) in struct.iter_unpack(
                 "<Q", section.data + bytes(-len(section.data) % 8))]
             for name, section in program.sections.items() if section is not text}
    return {name: [tuple(_meaning(i, places)) for i in routine]
            for name, routine in routines.items()}, words


def _meaning(instruction: Any, places: Mapping[int, tuple[str, int]]) -> Iterator[object]:
    yield "mov" if instruction.mnemonic == "movabs" else instruction.mnemonic
    to_segment = instruction.op_str[:4] in ("ss, ", "ds, ", "es, ", "fs, ", "gs, ")
    for operand in instruction.operands:
        if operand.type == x86_const.X86_OP_REG:
            name = instruction.reg_name(operand.reg)
            yield name.lstrip("er") if to_segment else name  # of any width, 16 bits are read
        elif operand.type == x86_const.X86_OP_IMM:
            value = operand.imm % 2**64
            yield places.get(value, value % 256**operand.size)
        else:
            memory = operand.mem
            base = instruction.reg_name(memory.base)
            address: object = memory.disp % 2**64
            if base == "rip":
                target = (instruction.address + instruction.size + memory.disp) % 2**64
                address = places.get(target, target)
            yield (operand.size, instruction.reg_name(memory.segment), base,
                   instruction.reg_name(memory.index), memory.scale, address)


def differences(source: str, address: int, alignments: Mapping[str, int],
                symbols: Mapping[str, int], folder: Path) -> list[str]:
    """Return where the two assemblers do not agree."""
    ours = by_keystone(source, address, alignments, symbols)
    theirs = by_gnu_as(source, symbols, ours, folder)
    found = []
    if ours.labels.keys() != theirs.labels.keys():
        found.append(f"labels: {sorted(ours.labels.keys() ^ theirs.labels.keys())}")
    (left, our_data), (right, their_data) = meaning(ours), meaning(theirs)
    found += [f"{name} differs" for name in ours.sections
              if our_data.get(name, []) != their_data.get(name, []) and name != ".bss"]
    for name in [*left, *(right.keys() - left.keys())]:
        a, b = left.get(name, []), right.get(name, [])
        found += [f"{name} + {n}: {x} is {y}" for n, (x, y) in enumerate(zip(a, b, strict=False))
                  if x != y]
        if len(a) != len(b):
            found.append(f"{name}: {len(a)} instructions, not {len(b)}")
    return found


@pytest.mark.parametrize("text", [
    "mov rdi, [0x2000]", "mov rsp, gs:[8]", "push qword ptr gs:[8]", "mov [0x2000], rdi",
])
def test_the_comparison_sees_a_wrong_operand(text: str, tmp_path: Path) -> None:
    """Is each form that comes out wrong, and is not refused, found by the comparison?"""
    source = f"before: nop\nroutine:\nnop\n{text}\nafter: ret"
    (found,) = differences(source, 0x40_0000, {".text": 1}, {}, tmp_path)
    assert found.startswith("routine + 1: ")


def test_the_comparison_sees_a_lost_symbol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Would the comparison find what is refused, if it were not?"""
    monkeypatch.setattr(assembler, "_what_goes_wrong", lambda *_: None)
    for text in ("mov rax, [rsp + A - B]", "mov rax, [rsp - A]", "mov rax, [rbx + A*2]"):
        (found,) = differences(f"routine: {text}\nret", 0x40_0000, {".text": 1},
                               {"A": 0x10, "B": 3}, tmp_path)
        assert found.startswith("routine + 0: ")


def test_the_comparison_looks_through_encodings(tmp_path: Path) -> None:
    """Are different lengths, and addresses that follow from them, no difference?"""
    source = """
    start: mov rax, [rsp + A + 4]
        jmp away
        call start
        mov rax, gs:[A]
        lea rdi, [rip + away]
        lea rdi, [rip + table]
        movabs rax, away
    away: jz away
        .byte 0xeb, 0
        ret
    .data
    table: .quad away, table
    """
    assert differences(source, 0x40_0000, {".text": 1, ".data": 4096}, {"A": 16}, tmp_path) == []


def test_kernel_is_what_its_source_says(tmp_path: Path) -> None:
    """Does GNU as make the same instructions of the whole kernel?"""
    rows = load()
    alignments = dict.fromkeys(image.ENDS, 4096)
    found = differences(image.text(rows), image.BASE, alignments, image.numbers(rows), tmp_path)
    assert found == []


def test_native_microcode_is_what_its_source_says(tmp_path: Path) -> None:
    """Does GNU as make the same instructions of the microcode?"""
    layout = measure(binding.open_engine())
    symbols = native.symbols(layout, HOST_CALL_PORT)
    # Far from the numbers in it, so that none of them looks like an address.
    found = differences(Path(native.SOURCE).read_text(), 0x7654_3210_0000, {".text": 1}, symbols,
                        tmp_path)
    assert found == []


@pytest.mark.parametrize("source", sorted((ROOT / "userland" / "asm").glob("*.asm")),
                         ids=lambda path: path.stem)
def test_userland_is_what_its_source_says(source: Path, tmp_path: Path) -> None:
    """Does GNU as make the same instructions of each program?"""
    found = differences("\n".join(_lines(str(source))), TEXT_ADDRESS, _ALIGNMENTS,
                        assembler_symbols(), tmp_path)
    assert found == []

"""Do declarations give the layout of C, and references the memory that they name?"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.memory import Ram
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import (
    I16,
    I32,
    I64,
    KERNEL_LOAD,
    PAGE_OFFSET,
    PHYSICAL_MASK,
    START_KERNEL_MAP,
    U8,
    U16,
    U32,
    U64,
    Array,
    Chars,
    Embed,
    EmbedArray,
    Field,
    Ptr,
    Struct,
    VoidPtr,
    container_of,
)
from ringlet.layout import structures

IMAGE_END: Final = KERNEL_LOAD + 0x1000
RAM_SIZE: Final = 2 << 20
INTEGERS: Final = {"u64": (8, False), "i64": (8, True), "u32": (4, False), "i32": (4, True),
                   "u16": (2, False), "i16": (2, True), "u8": (1, False)}


class node(Struct):
    """A node of a ring."""

    next = Ptr(lambda: node, "the next one")
    weight = U16("16 bits")


class point(Struct):
    """Two numbers."""

    x = I32("to the right")
    y = I32("up")


class everything(Struct):
    """A field of each kind."""

    u8 = U8("")
    u64 = U64("", writer="both")
    i32 = I32("")
    u16 = U16("")
    i16 = I16("")
    i64 = I64("")
    u32 = U32("")
    name = Chars(7, "")
    pointer = VoidPtr("")
    first = Embed(point, "")
    link = Ptr(lambda: node, "")
    points = EmbedArray(point, 3, "")
    words = Array(U16, 5, "")
    sums = Array(I64, 2, "")
    __state = U32("a name that Python mangles", writer="asm")
    node = Embed(node, "")
    last = U8("")


OFFSETS: Final = {
    "u8": 0, "u64": 8, "i32": 16, "u16": 20, "i16": 22, "i64": 24, "u32": 32, "name": 36,
    "pointer": 48, "first": 56, "link": 64, "points": 72, "words": 96, "sums": 112, "__state": 128,
    "node": 136, "last": 152,
}


class variant(Struct):
    """A union in the middle."""

    tag = U32("")
    number = U64("as one")
    halves = Array(U32, 2, "as two", overlay="number")
    text = Chars(13, "as text, which is longer", overlay="number")
    low = U8("its first byte", overlay="number")
    flags = U32("behind the longest")


@pytest.fixture
def k() -> Kernel:
    return Kernel(Ram(RAM_SIZE), {}, IMAGE_END)


def raw(reference: Struct) -> bytes:
    return bytes(reference.k.u8[reference.pa : reference.pa + reference.size])


# ---- Layout


def test_fields_are_aligned_to_their_size_in_the_order_declared() -> None:
    """Is each field where C would have it, and the structure's size a multiple of its alignment?"""
    assert {name: field.offset for name, field in everything.fields.items()} == OFFSETS
    assert (everything.size, everything.align) == (160, 8)
    assert (point.size, point.align) == (8, 4)
    assert (node.size, node.align) == (16, 8)


def test_fields_know_what_they_are() -> None:
    """Is what debuggers and documentation print kept as declared?"""
    fields = everything.fields
    assert (fields["u64"].writer, fields["u8"].writer, fields["__state"].writer) == (
        "both", "host", "asm")
    assert fields["__state"].doc == "a name that Python mangles"
    assert fields["words"].ctype == "unsigned short [5]"
    assert fields["first"].ctype == "struct point"
    assert fields["points"].ctype == "struct point [3]"
    assert all(field.name == name for name, field in fields.items())


def test_overlays_share_a_place_and_what_follows_leaves_room() -> None:
    """Is a union as long as its longest member?"""
    assert {name: field.offset for name, field in variant.fields.items()} == {
        "tag": 0, "number": 8, "halves": 8, "text": 8, "low": 8, "flags": 24}
    assert variant.size == 32


def test_an_array_may_ask_for_more_alignment() -> None:
    """Is FXSAVE's area, 16 bytes aligned, a possible field?"""
    class aligned(Struct):
        """Bytes on a boundary."""

        first = U8("")
        area = Array(U8, 512, "", align=16)

    assert (aligned.offsetof("area"), aligned.align, aligned.size) == (16, 16, 528)


def test_offsetof_follows_a_path() -> None:
    """Is the offset of a field's field the sum, and anything else an error?"""
    assert everything.offsetof("u16") == 20
    assert everything.offsetof("first.y") == 60
    assert everything.offsetof("node.weight") == 144
    assert everything.offsetof("__state") == 128
    for path in ("none", "first.none", "u64.x", "link.weight", "points.x", "first.x.y"):
        with pytest.raises(KeyError):
            everything.offsetof(path)


def test_names_that_a_reference_has_itself_are_refused() -> None:
    """Can no field hide what every reference needs?"""
    for name in ("k", "pa", "va", "size", "align", "fields", "offsetof", "at", "clear", "items"):
        with pytest.raises(TypeError, match=name):
            type("hiding", (Struct,), {name: U64("")})


def test_every_declared_structure_is_aligned_throughout() -> None:
    """Does each field of the kernel, overlays too, lie at a multiple of its alignment, inside?"""
    kinds = structures()
    assert len(kinds) > 40
    for kind in kinds.values():
        assert kind.size % kind.align == 0
        for name, field in kind.fields.items():
            assert field.offset % field.align == 0, f"{kind.__name__}.{name}"
            assert kind.align % field.align == 0, f"{kind.__name__}.{name}"
            assert field.offset + field.size <= kind.size, f"{kind.__name__}.{name}"
            assert field.doc, f"{kind.__name__}.{name}"
            assert field.writer in ("host", "asm", "both"), f"{kind.__name__}.{name}"


# ---- Access


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_is_little_endian_at_its_place_and_nowhere_else(k: Kernel, name: str) -> None:
    """Do reading and writing touch exactly the field's bytes, with its sign?"""
    size, signed = INTEGERS[name]
    it = everything(k, 0x4000)
    k.u8[it.pa : it.pa + it.size] = b"\xa5" * it.size
    bits = 8 * size - signed
    for value in (0, 1, 2**bits - 1, 2 ** (bits - 1), *((-1, -(2**bits)) if signed else ())):
        setattr(it, name, value)
        assert getattr(it, name) == value
        bytes_ = value.to_bytes(size, "little", signed=signed)
        before, after = OFFSETS[name], it.size - OFFSETS[name] - size
        assert raw(it) == b"\xa5" * before + bytes_ + b"\xa5" * after
    for value in (2**bits, -(2**bits) - 1 if signed else -1):
        with pytest.raises(ValueError, match="value"):
            setattr(it, name, value)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(INTEGERS)), st.binary(min_size=8, max_size=8)))
def test_fields_do_not_disturb_each_other(values: dict[str, bytes]) -> None:
    """Does each keep its value whatever is written to the others?"""
    it = everything(Kernel(Ram(RAM_SIZE), {}, IMAGE_END), 0x4000)
    numbers = {name: int.from_bytes(values[name][: INTEGERS[name][0]], "little",
                                    signed=INTEGERS[name][1]) for name in values}
    for name, number in numbers.items():
        setattr(it, name, number)
    assert {name: getattr(it, name) for name in INTEGERS} == dict.fromkeys(INTEGERS, 0) | numbers


def test_a_mangled_name_is_linuxs(k: Kernel) -> None:
    """Is a field with two leading underscores found under that name, from outside?"""
    task: Any = everything(k, 0x4000)
    setattr(task, "__state", 5)
    assert getattr(task, "__state") == 5
    assert k.u32[(0x4000 + 128) >> 2] == 5
    assert "__state" in everything.fields
    assert not hasattr(task, "_everything__state")


def test_overlays_are_one_memory(k: Kernel) -> None:
    """Does writing one member of a union show in the others?"""
    it = variant(k, 0x4000)
    it.number = 0x1122_3344_5566_7788
    assert (list(it.halves), it.low) == ([0x5566_7788, 0x1122_3344], 0x88)
    it.text = b"abc"
    assert (it.number, it.flags) == (0x63_6261, 0)


def test_chars_are_padded_and_end_at_nul(k: Kernel) -> None:
    """Is a name cut at its NUL, padded to its end, and refused if it is too long?"""
    it = everything(k, 0x4000)
    it.name = b"seven77"
    assert it.name == b"seven77"
    it.name = b"ab"
    assert it.name == b"ab"
    assert raw(it)[36:43] == b"ab\0\0\0\0\0"
    it.name = b"a\0b"
    assert it.name == b"a"
    with pytest.raises(ValueError, match=r"char\[7\]"):
        it.name = b"eight888"
    assert raw(it)[43:48] == bytes(5)


def test_an_array_is_a_view_of_memory(k: Kernel) -> None:
    """Are items read and written in place, within bounds?"""
    it = everything(k, 0x4000)
    words = it.words
    words[4] = 0xBEEF
    it.sums[0] = -2
    assert list(it.words) == [0, 0, 0, 0, 0xBEEF]
    assert list(it.sums) == [-2, 0]
    assert raw(it)[104:106] == b"\xef\xbe"
    with pytest.raises(IndexError):
        words[5] = 1
    with pytest.raises(AttributeError):
        it.words = words


def test_embedded_structures_are_references(k: Kernel) -> None:
    """Does a field of a field lie inside the structure?"""
    it = everything(k, 0x4000)
    it.first.y = -3
    it.points[2].x = 7
    assert (k.i32[(0x4000 + 60) >> 2], k.i32[(0x4000 + 88) >> 2]) == (-3, 7)
    assert [p.x for p in it.points] == [0, 0, 7]
    assert [p.pa for p in it.points] == [0x4000 + 72, 0x4000 + 80, 0x4000 + 88]


def test_pointers_are_kernel_addresses(k: Kernel) -> None:
    """Is a pointer to the image in the image's mapping, any other in the direct map, None NULL?"""
    it = everything(k, 0x4000)
    assert it.link is None
    elsewhere, inside, end = node(k, 0x8000), node(k, KERNEL_LOAD), node(k, IMAGE_END)
    for target, va in ((elsewhere, PAGE_OFFSET + 0x8000), (inside, START_KERNEL_MAP + KERNEL_LOAD),
                       (node(k, IMAGE_END - 8), START_KERNEL_MAP + IMAGE_END - 8),
                       (end, PAGE_OFFSET + IMAGE_END), (node(k, KERNEL_LOAD - 8),
                                                        PAGE_OFFSET + KERNEL_LOAD - 8)):
        assert target.va == va
        it.link = target
        assert k.u64[(0x4000 + 64) >> 3] == va
        assert it.link == target
        assert type(it.link) is node
        assert node.at(k, va) == target
        assert va & PHYSICAL_MASK == target.pa
    it.link = None
    assert k.u64[(0x4000 + 64) >> 3] == 0


def test_either_mapping_leads_to_the_same_structure(k: Kernel) -> None:
    """Is an object of the image found through the direct map too?"""
    it = everything(k, 0x4000)
    k.u64[(0x4000 + 64) >> 3] = PAGE_OFFSET + KERNEL_LOAD
    assert it.link == node(k, KERNEL_LOAD)


def test_a_ring_of_pointers_can_be_followed(k: Kernel) -> None:
    """Do pointers to the structure's own type, declared before it is complete, work?"""
    ring = [node(k, 0x4000 + i * node.size) for i in range(4)]
    for index, it in enumerate(ring):
        it.next, it.weight = ring[(index + 1) % 4], index
    at = ring[0]
    for index in range(9):
        assert at.weight == index % 4
        assert at.next is not None
        at = at.next


def test_container_of_goes_back_to_the_whole(k: Kernel) -> None:
    """Is a member's structure found from the member, by path too?"""
    it = everything(k, 0x4000)
    assert container_of(it.node, everything, "node") == it
    assert container_of(it.first, everything, "first") == it

    class outer(Struct):
        """One that holds it."""

        front = U64("")
        inner = Embed(everything, "")

    whole = outer(k, 0x4000)
    assert container_of(whole.inner.node, outer, "inner.node") == whole


def test_a_reference_keeps_nothing(k: Kernel) -> None:
    """Are two references to one place equal, and does each see what the other writes?"""
    one, two = everything(k, 0x4000), everything(k, 0x4000)
    one.u64 = 5
    assert two.u64 == 5
    assert one == two
    assert len({one, two}) == 1
    assert one != everything(k, 0x5000)
    assert one != node(k, 0x4000)
    assert one != 0x4000
    assert repr(one) == f"<everything {PAGE_OFFSET + 0x4000:#x}>"


def test_clear_and_items(k: Kernel) -> None:
    """Does clear() zero the structure and no more, and items() give every field?"""
    k.u8[0x4000:0x4200] = b"\xff" * 0x200
    it = everything(k, 0x4000)
    it.clear()
    assert raw(it) == bytes(it.size)
    assert k.u8[0x4000 + it.size] == 0xFF
    values = dict(it.items())
    assert list(values) == list(everything.fields)
    assert (values["u8"], values["link"], values["name"]) == (0, None, b"")


# ---- Against C

C_TYPES: Final[dict[type[Field], str]] = {
    U8: "unsigned char", U16: "unsigned short", I16: "short", U32: "unsigned int", I32: "int",
    U64: "unsigned long", I64: "long", VoidPtr: "void *"}


def declaration(kind: type[Struct]) -> str:
    """Return the structure in C, made from the fields' kinds and not from their offsets."""
    members: list[list[str]] = []
    place: dict[str, int] = {}
    for name, field in kind.fields.items():
        text = _member(name, field)
        if field.overlay is None:
            place[name] = len(members)
            members.append([text])
        else:
            place[name] = place[field.overlay]
            members[place[name]].append(text)
    lines = [group[0] if len(group) == 1 else f"union {{ {' '.join(group)} }};"
             for group in members]
    return f"struct {kind.__name__} {{ {' '.join(lines)} }};"


def _member(name: str, field: Field) -> str:
    if isinstance(field, Chars):
        return f"char {name}[{field.size}];"
    if isinstance(field, Array):
        return f"{C_TYPES[field.item]} {name}[{field.n}] __attribute__((aligned({field.align})));"
    if isinstance(field, Ptr):
        return f"struct {field.target().__name__} *{name};"
    if isinstance(field, Embed):
        return f"struct {field.target.__name__} {name};"
    if isinstance(field, EmbedArray):
        return f"struct {field.target.__name__} {name}[{field.n}];"
    return f"{C_TYPES[type(field)]} {name};"


def made_up(number: int) -> type[Struct]:
    """Return a structure of random fields."""
    dice = random.Random(number)
    simple: list[Any] = list(C_TYPES)
    fields: dict[str, Field] = {}
    for index in range(dice.randint(1, 12)):
        name = f"f{index}"
        what = dice.randrange(8)
        if what == 0:
            fields[name] = Chars(dice.randint(1, 20), "")
        elif what == 1:
            fields[name] = Array(dice.choice(simple[:6]), dice.randint(1, 9), "",
                                 align=dice.choice([None, None, 16]))
        elif what == 2:
            fields[name] = Ptr(lambda: node, "")
        elif what == 3:
            fields[name] = Embed(dice.choice([node, point, variant]), "")
        elif what == 4:
            fields[name] = EmbedArray(dice.choice([node, point]), dice.randint(1, 4), "")
        elif what == 5:
            # The first member must be the most aligned one, and the longest a multiple of that:
            # a declaration has no union of its own to align and to pad.
            fields[name] = U64("")
            fields[f"{name}_other"] = dice.choice(simple)("", overlay=name)
            fields[f"{name}_long"] = Chars(8 * dice.randint(1, 4), "", overlay=name)
        else:
            fields[name] = dice.choice(simple)("")
    kind = type(f"made_up_{number}", (Struct,), dict(fields))
    assert issubclass(kind, Struct)
    return kind


def test_gcc_agrees_on_every_offset(tmp_path: Path) -> None:
    """Are offsets, sizes and alignments those that a C compiler gives the same members?"""
    if shutil.which("gcc") is None:
        pytest.skip("not here: gcc (Debian: apt install gcc)")
    kinds: list[type[Struct]] = [node, point, everything, variant, *map(made_up, range(200))]
    lines = ["#include <stddef.h>", *map(declaration, kinds)]
    for kind in kinds:
        name = f"struct {kind.__name__}"
        lines.append(f"_Static_assert(sizeof({name}) == {kind.size}, \"{name}\");")
        lines.append(f"_Static_assert(_Alignof({name}) == {kind.align}, \"{name}\");")
        lines += [f"_Static_assert(offsetof({name}, {field.name}) == {field.offset}, "
                  f"\"{name}.{field.name}\");"
                  f"_Static_assert(sizeof((({name} *)0)->{field.name}) == {field.size}, \"\");"
                  for field in kind.fields.values()]
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines))
    done = subprocess.run(["gcc", "-std=gnu11", "-fsyntax-only", source], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

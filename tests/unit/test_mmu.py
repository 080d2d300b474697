"""The page walk, against tables built here and against the manual's rules said plainly."""

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.arch.exceptions import CpuException, Vector
from emulator.cpu.mmu import Access, WalkStep, read_linear, steps, translate, write_linear
from emulator.memory import Ram

RAM_SIZE = 1 << 20
CR3 = 0x1000

# Spelled out again, so that a wrong constant in arch/ shows.
P, RW, US, A, D, PS = 1, 2, 4, 0x20, 0x40, 0x80
NX = 1 << 63
USER_RW = P | RW | US
ERR_P, ERR_W, ERR_U, ERR_RSVD, ERR_I = 1, 2, 4, 8, 16


class Tables:
    """Builds page tables in RAM, sharing no code with the walker that it tests."""

    def __init__(self) -> None:
        self.ram = Ram(RAM_SIZE)
        self.next_table = CR3 + 0x1000

    def put(self, pa: int, entry: int) -> None:
        self.ram.write(pa, struct.pack("<Q", entry))

    def get(self, pa: int) -> int:
        return int.from_bytes(self.ram.read(pa, 8), "little")

    def map(self, va: int, entries: list[int]) -> list[int]:
        """Store one entry per level for ``va``: the flags given, with tables allocated between.

        The last entry is stored as it is.  Returns where each lies.
        """
        table, where = CR3, []
        for depth, entry in enumerate(entries):
            index = va // (1 << 39 - 9 * depth) % 512
            where.append(table + 8 * index)
            if depth < len(entries) - 1:
                table = self.next_table
                self.next_table += 0x1000
                entry |= table
            self.put(where[-1], entry)
        return where


def fault(tables: Tables, va: int, access: Access = Access.READ, **options: bool) -> CpuException:
    with pytest.raises(CpuException) as caught:
        translate(tables.ram, CR3, va, access, **{"user": False, **options})
    return caught.value


VA = 0x7F12_3456_7ABC


def test_4k_page_translates_to_frame_plus_offset() -> None:
    """Are the four indices and the 12-bit offset taken from the right bits?"""
    tables = Tables()
    tables.map(VA, [USER_RW, USER_RW, USER_RW, USER_RW | 0x55000])
    assert translate(tables.ram, CR3, VA, Access.READ, user=True) == 0x55ABC


@pytest.mark.parametrize(
    ("depth", "frame", "offset_bits"), [(3, 0x60_0000, 21), (2, 0x4000_0000, 30)]
)
def test_large_page_keeps_the_low_bits_of_the_address(
    depth: int, frame: int, offset_bits: int
) -> None:
    """Does a leaf in the PD (PDPT) map 2 MiB (1 GiB)?"""
    tables = Tables()
    tables.map(VA, [USER_RW] * (depth - 1) + [USER_RW | PS | frame])
    expected = frame + VA % (1 << offset_bits)
    assert translate(tables.ram, CR3, VA, Access.WRITE, user=True) == expected


def test_kernel_half_and_cr3_low_bits() -> None:
    """Do sign-extended addresses walk, and do the low 12 bits of CR3 (PCID) not matter?"""
    tables = Tables()
    va = 0xFFFF_8000_0000_0123
    tables.map(va, [P | RW, P | RW, P | RW, P | RW | 0x8000])
    assert translate(tables.ram, CR3 | 0x7FF, va, Access.WRITE, user=False) == 0x8123


@pytest.mark.parametrize("va", [1 << 47, 0xFFFF_7FFF_FFFF_FFFF, 1 << 63, 1 << 64])
def test_non_canonical_address_is_general_protection(va: int) -> None:
    """Is an address whose top bits do not repeat bit 47 a #GP(0), and never walked?"""
    tables = Tables()
    raised = fault(tables, va)
    assert (raised.vector, raised.error_code, raised.cr2) == (Vector.GP, 0, None)
    assert steps(tables.ram, CR3, va) == []


@pytest.mark.parametrize(
    ("access", "options", "code"),
    [
        (Access.READ, {"user": False}, 0),
        (Access.WRITE, {"user": False}, ERR_W),
        (Access.EXECUTE, {"user": True}, ERR_U | ERR_I),
        (Access.EXECUTE, {"user": True, "nxe": False}, ERR_U),
    ],
)
def test_not_present_fault_describes_the_access(
    access: Access, options: dict[str, bool], code: int
) -> None:
    """Does the error code of a missing page say W, U and I, and I only with NXE?"""
    raised = fault(Tables(), VA, access, **options)
    assert (raised.vector, raised.error_code, raised.cr2) == (Vector.PF, code, VA)


def test_supervisor_write_to_read_only_page_asks_wp() -> None:
    """Does ring 0 write to a read-only page if, and only if, CR0.WP is clear?"""
    tables = Tables()
    tables.map(VA, [USER_RW, USER_RW, USER_RW, P | US | 0x3000])
    assert fault(tables, VA, Access.WRITE).error_code == ERR_P | ERR_W
    assert translate(tables.ram, CR3, VA, Access.WRITE, user=False, wp=False) == 0x3ABC
    # WP is about ring 0 only.
    raised = fault(tables, VA, Access.WRITE, user=True, wp=False)
    assert raised.error_code == ERR_P | ERR_W | ERR_U


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_every_level_can_forbid(depth: int) -> None:
    """Is an access allowed only if all four levels allow it?"""
    for flags, access, code in [
        (P | RW, Access.READ, ERR_P | ERR_U),
        (P | US, Access.WRITE, ERR_P | ERR_W | ERR_U),
        (USER_RW | NX, Access.EXECUTE, ERR_P | ERR_U | ERR_I),
    ]:
        tables = Tables()
        entries = [USER_RW] * 4
        entries[depth] = flags
        tables.map(VA, entries)
        assert fault(tables, VA, access, user=True).error_code == code


@pytest.mark.parametrize(
    ("entries", "bit"),
    [
        pytest.param([USER_RW | PS, USER_RW, USER_RW, USER_RW], None, id="PS-in-PML4E"),
        *[pytest.param([USER_RW, USER_RW | PS], bit, id=f"1G-bit-{bit}") for bit in (13, 29)],
        *[pytest.param([USER_RW, USER_RW, USER_RW | PS], bit, id=f"2M-bit-{bit}")
          for bit in (13, 20)],
        *[pytest.param([USER_RW] * 4, bit, id=f"4K-bit-{bit}") for bit in (40, 51)],
    ],
)
def test_reserved_bit_faults_before_rights_are_looked_at(
    entries: list[int], bit: int | None
) -> None:
    """Does a reserved bit give P and RSVD, even to an access that is forbidden as well?"""
    tables = Tables()
    if bit is not None:
        entries = [*entries[:-1], entries[-1] & ~US | 1 << bit]
    tables.map(VA, entries)
    assert fault(tables, VA, Access.READ, user=True).error_code == ERR_P | ERR_RSVD | ERR_U


@pytest.mark.parametrize(
    ("level", "leaf", "expected"),
    [
        (3, USER_RW | PS | 1 << 12 | 0x20_0000, 0x20_0000 + VA % 0x20_0000),
        (4, USER_RW | 1 << 7 | 0x5000, 0x5ABC),
    ],
)
def test_pat_bit_is_not_reserved(level: int, leaf: int, expected: int) -> None:
    """Are bit 12 of a large page and bit 7 of a small one the PAT bit, part of no address?"""
    tables = Tables()
    tables.map(VA, [USER_RW] * (level - 1) + [leaf])
    assert translate(tables.ram, CR3, VA, Access.READ, user=True) == expected


def test_nx_is_reserved_without_nxe() -> None:
    """Is bit 63 a reserved bit while EFER.NXE is clear?"""
    tables = Tables()
    tables.map(VA, [USER_RW, USER_RW, USER_RW, USER_RW | NX | 0x3000])
    assert fault(tables, VA, Access.READ, nxe=False).error_code == ERR_P | ERR_RSVD
    assert translate(tables.ram, CR3, VA, Access.READ, user=False) == 0x3ABC


def test_table_outside_ram_reads_all_ones() -> None:
    """Is a table that no memory backs a reserved-bit fault, as a floating bus makes it?"""
    tables = Tables()
    (pml4e, *_) = tables.map(VA, [USER_RW] * 4)
    tables.put(pml4e, USER_RW | RAM_SIZE)
    assert fault(tables, VA).error_code == ERR_P | ERR_RSVD
    assert steps(tables.ram, CR3, VA)[-1].entry == (1 << 64) - 1


def test_walk_sets_accessed_and_a_write_dirty() -> None:
    """Is A set on all levels, and D on the leaf alone and by a write alone?"""
    tables = Tables()
    where = tables.map(VA, [USER_RW] * 4)
    translate(tables.ram, CR3, VA, Access.WRITE, user=True, set_ad=False)
    assert [tables.get(pa) & (A | D) for pa in where] == [0, 0, 0, 0]
    translate(tables.ram, CR3, VA, Access.READ, user=True)
    assert [tables.get(pa) & (A | D) for pa in where] == [A, A, A, A]
    translate(tables.ram, CR3, VA, Access.WRITE, user=True)
    assert [tables.get(pa) & (A | D) for pa in where] == [A, A, A, A | D]


def test_refused_access_leaves_the_leaf_clean() -> None:
    """Does a write that faults set neither A nor D in the leaf?"""
    tables = Tables()
    where = tables.map(VA, [USER_RW, USER_RW, USER_RW, P | US])
    fault(tables, VA, Access.WRITE, user=True)
    assert [tables.get(pa) & (A | D) for pa in where] == [A, A, A, 0]


def test_steps_stop_at_the_leaf_or_where_nothing_is() -> None:
    """Does the explanation name each level that was reached, and no other?"""
    tables = Tables()
    pml4e, pdpte, pde = tables.map(VA, [USER_RW, USER_RW, USER_RW | PS])
    assert steps(tables.ram, CR3, VA) == [
        WalkStep("PML4", pml4e, tables.get(pml4e)),
        WalkStep("PDPT", pdpte, tables.get(pdpte)),
        WalkStep("PD", pde, USER_RW | PS),
    ]
    tables.put(pdpte, 0)
    assert [step.level for step in steps(tables.ram, CR3, VA)] == ["PML4", "PDPT"]
    tables.put(pml4e, USER_RW | PS)
    assert [step.level for step in steps(tables.ram, CR3, VA)] == ["PML4"]


def two_pages(second: int) -> tuple[Tables, int]:
    """Map two neighbouring pages to frames far apart; ``second`` is the second one's PTE."""
    tables = Tables()
    va = 0x40_0000
    *_, pte = tables.map(va, [USER_RW, USER_RW, USER_RW, USER_RW | 0x9000])
    tables.put(pte + 8, second)
    return tables, va


def test_linear_range_crosses_pages() -> None:
    """Do bytes that lie across two pages go to two frames?"""
    tables, va = two_pages(USER_RW | 0x20000)
    write_linear(tables.ram, CR3, va + 0xFFD, b"abcdef")
    assert tables.ram.read(0x9FFD, 3) + tables.ram.read(0x20000, 3) == b"abcdef"
    assert read_linear(tables.ram, CR3, va + 0xFFD, 6) == b"abcdef"
    assert read_linear(tables.ram, CR3, va, 0) == b""


def test_linear_write_that_faults_writes_nothing() -> None:
    """Is RAM untouched if the second page refuses, and does CR2 name its first byte?"""
    tables, va = two_pages(0)
    with pytest.raises(CpuException) as caught:
        write_linear(tables.ram, CR3, va + 0xFFD, b"abcdef", user=True)
    assert (caught.value.error_code, caught.value.cr2) == (ERR_W | ERR_U, va + 0x1000)
    assert tables.ram.read(0x9FFD, 3) == bytes(3)


def test_linear_access_outside_ram_is_an_error() -> None:
    """Is a page of device memory refused, instead of being taken for RAM?"""
    tables, va = two_pages(USER_RW | 0xFED0_0000)
    with pytest.raises(IndexError, match="mapped outside RAM, to physical 0xfed00000"):
        write_linear(tables.ram, CR3, va + 0xFFD, b"abcdef")
    assert tables.ram.read(0x9FFD, 3) == bytes(3)
    with pytest.raises(IndexError):
        read_linear(tables.ram, CR3, va + 0x1000, 1)


# The rules of the manual, one sentence each, over a list of entries instead of a walk.


@dataclass
class Model:
    """A chain of entries for one address: what each level holds, the last being where it ends."""

    entries: list[int]
    access: Access
    user: bool
    wp: bool
    nxe: bool

    def reserved(self, depth: int, entry: int) -> bool:
        """See "Paging-Structure Entries": which bits must be 0, by level and kind of entry."""
        bits = set(range(40, 52))
        if not self.nxe:
            bits.add(63)
        if depth == 0:
            bits.add(7)
        if depth == 1 and entry & PS:
            bits |= set(range(13, 30))
        if depth == 2 and entry & PS:
            bits |= set(range(13, 21))
        return any(entry >> bit & 1 for bit in bits)

    def forbidden(self) -> bool:
        """See "Access Rights": user-mode and supervisor-mode reads, writes and fetches."""
        user_page = all(entry & US for entry in self.entries)
        writable = all(entry & RW for entry in self.entries)
        executable = not any(entry & NX for entry in self.entries)
        if self.user and not user_page:
            return True
        if self.access is Access.WRITE and not writable:
            return self.user or self.wp
        return self.access is Access.EXECUTE and self.nxe and not executable

    def error_code(self) -> int | None:
        """See "Page-Fault Exceptions": None if the access succeeds."""
        code = ERR_U if self.user else 0
        if self.access is Access.WRITE:
            code |= ERR_W
        if self.access is Access.EXECUTE and self.nxe:
            code |= ERR_I
        for depth, entry in enumerate(self.entries):
            if not entry & P:
                return code
            if self.reserved(depth, entry):
                return code | ERR_P | ERR_RSVD
        return code | ERR_P if self.forbidden() else None

    def accessed(self) -> list[int]:
        """See "Accessed and Dirty Flags": the entries as they are after the access."""
        after = list(self.entries)
        for depth, entry in enumerate(self.entries):
            last = depth == len(self.entries) - 1
            if not entry & P or self.reserved(depth, entry):
                break
            if last and self.error_code() is not None:
                break
            after[depth] |= A
            if last and self.access is Access.WRITE:
                after[depth] |= D
        return after


flags = st.builds(
    lambda missing, added, reserved: (USER_RW & ~missing) | added | reserved,
    st.sampled_from([0, 0, 0, 0, P, RW, US, RW | US]),
    st.sampled_from([0, 0, A, D, A | D, NX, 1 << 8, 7 << 9, 0x18]),
    st.sampled_from([0] * 8 + [1 << 40, 1 << 51]),
)


@st.composite
def chains(draw: st.DrawFn) -> tuple[int, list[int]]:
    """An address and its entries: a walk that ends at a random level, for a random reason."""
    length = draw(st.sampled_from([4, 4, 3, 2]))
    entries = [draw(flags) for _ in range(length)]
    if draw(st.integers(0, 15)) == 0:
        entries[0] |= PS
    shift = 12 + 9 * (4 - length)
    frame = draw(st.integers(0, (1 << 40 - shift) - 1)) << shift
    if length < 4:
        entries[-1] |= PS | draw(st.sampled_from([0, 0, 1 << 12, 1 << 13, 1 << shift - 1]))
    entries[-1] |= frame
    half = draw(st.sampled_from([0, 0xFFFF_8000_0000_0000]))
    return half | draw(st.integers(0, (1 << 47) - 1)), entries


@settings(max_examples=300, deadline=None)
@given(
    chain=chains(), access=st.sampled_from(Access), user=st.booleans(), wp=st.booleans(),
    nxe=st.booleans(),
)
def test_walk_agrees_with_the_manual(
    chain: tuple[int, list[int]], access: Access, user: bool, wp: bool, nxe: bool
) -> None:
    """Does the walk agree, for any entries and any access, with the rules read out one by one?

    Good: the same address or error code, and the same A and D bits afterwards.
    """
    va, entries = chain
    tables = Tables()
    where = tables.map(va, entries)
    # From here on the model sees what is in RAM: table addresses included.
    model = Model([tables.get(pa) for pa in where], access, user, wp, nxe)
    error_code = model.error_code()
    if error_code is None:
        page_size = 1 << 12 + 9 * (4 - len(entries))
        frame = entries[-1] % (1 << 40) // page_size * page_size
        pa = translate(tables.ram, CR3, va, access, user=user, wp=wp, nxe=nxe)
        assert pa == frame + va % page_size
    else:
        raised = fault(tables, va, access, user=user, wp=wp, nxe=nxe)
        assert (raised.vector, raised.error_code, raised.cr2) == (Vector.PF, error_code, va)
    assert [tables.get(pa) for pa in where] == model.accessed()

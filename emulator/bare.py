"""Ten lines of assembly on the bare machine, and what became of them.

There is no kernel: a GDT, an IDT whose 256 gates lead to stubs that report what arrived, a TSS with
stacks, and a few pages for ring 3.  A program runs in either ring until it reaches its end, traps,
or stops the machine; then its registers, memory, page tables and traps can be looked at::

    bare = Bare()
    result = bare.run("mov rax, [0x1000]", ring=3)
    assert result.trap.vector == Vector.PF and result.trap.cr2 == 0x1000

Memory, all of it mapped at its physical address for ring 0, with large pages:

    0x1_0000  GDT         0x1_2000  TSS with the port bitmap    0x4_0000  the program, in ring 0
    0x1_1000  IDT         0x1_5000  stubs                       0x10_0000 frames to give out
    0x2_0000  stacks: RSP0 ends at 0x2_4000, IST n at 0x2_4000 + n * 0x1000, ring 0's at 0x3_0000

and for ring 3, in pages of 4 KiB, the program at ``USER_CODE``, data at ``USER_DATA`` and a stack
below ``USER_STACK``.

See: kvm-unit-tests, lib/x86/desc.c, which does the same for a real processor.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from emulator import boot
from emulator.arch import descriptors
from emulator.arch.exceptions import NR_VECTORS, WITH_ERROR_CODE
from emulator.arch.paging import LEVEL_SHIFTS, PAGE_SIZE, PTE
from emulator.arch.registers import RFLAGS
from emulator.assembler import assemble
from emulator.cpu import mmu
from emulator.cpu.control import Exit
from emulator.cpu.cpu import MicrocodeKind
from emulator.machine import MIB, Machine
from emulator.snapshot import Snapshot, SnapshotError

GDT: Final = 0x1_0000
IDT: Final = 0x1_1000
TSS: Final = 0x1_2000
TSS_BITMAP: Final = TSS + descriptors.TSS_SIZE
STUBS: Final = 0x1_5000
RSP0: Final = 0x2_4000
IST: Final = 0x2_4000  # the first stack of the table ends a page above
KERNEL_STACK: Final = 0x3_0000
REPORT: Final = 0x3_0000  # the stubs put the address of the frame here
KERNEL_CODE: Final = 0x4_0000
FIRST_FRAME: Final = 0x10_0000

USER_CODE: Final = 0x4000_0000
USER_DATA: Final = 0x4020_0000
USER_STACK: Final = 0x4030_0000

END: Final = 0xFF  # the vector by which a program says that it has reached its end
REPORT_CALL: Final = 0xFF  # the host-call number of the stubs; the others are the program's
LIMIT: Final = 1_000_000  # of the clock, for a program that does not end

USER_PAGE: Final = PTE.P | PTE.RW | PTE.US | PTE.NX

# As the stubs push them, from the lowest address on.
_PUSHED: Final = ("handler_rflags", "r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rdi",
                  "rsi", "rbp", "rbx", "rdx", "rcx", "rax", "vector", "error_code", "rip", "cs",
                  "rflags", "rsp", "ss")
_GENERAL: Final = _PUSHED[1:16]
_FRAME: Final = ("rip", "cs", "rflags", "rsp", "ss")

_STUBS: Final = f"""
common:
    {"".join(f"push {name};" for name in reversed(_GENERAL)).replace(";", chr(10))}
    pushfq
    mov ebx, {REPORT:#x}
    mov [rbx], rsp
    mov al, {REPORT_CALL}
    out 0xf0, al
    jmp resume
resume:
    add rsp, 8
    {"".join(f"pop {name};" for name in _GENERAL).replace(";", chr(10))}
    add rsp, 16
enter:
    iretq
start:
    lgdt [rip + gdtr]
    lidt [rip + idtr]
    mov ax, {descriptors.TSS_SELECTOR:#x}
    ltr ax
    hlt
gdtr:
    .word {PAGE_SIZE - 1}
    .quad {GDT}
idtr:
    .word {NR_VECTORS * descriptors.GATE_SIZE - 1}
    .quad {IDT}
"""


@cache
def _stubs() -> tuple[bytes, dict[str, int]]:
    lines = []
    for vector in range(NR_VECTORS):
        lines += [".balign 16", f"vector{vector}:"]
        if vector not in WITH_ERROR_CODE:
            lines.append("push 0")
        lines += [f"push {vector}", "jmp common"]
    return assemble("\n".join(lines) + _STUBS, STUBS)


@dataclass(slots=True)
class Trap:
    """An interrupt or exception as its handler found it.

    Attributes:
        regs: the general registers of what was interrupted, with ``rip``, ``cs``, ``rflags``,
            ``rsp`` and ``ss`` from the frame.
        cr2: the register; it means something for #PF.
        handler: ``cs``, ``ss``, ``rflags`` and ``rsp`` (below the frame) with which the handler
            began.
        frame: the address of what the processor pushed, without the error code.
        clock: when it was reported.
    """

    vector: int
    error_code: int
    regs: dict[str, int]
    cr2: int
    handler: dict[str, int]
    frame: int
    clock: int

    @property
    def rip(self) -> int:
        return self.regs["rip"]


@dataclass
class Result:
    """How a program ended; its registers are attributes: ``result.rax``.

    Attributes:
        exit: BREAKPOINT if it reached its end or a trap, else what stopped the machine.
        trap: the trap that ended it; None if it reached its end.
        traps: all traps, those that were resumed from too.
        calls: its own host calls, by number.
        labels: addresses in the program.
        regs: the registers at the end.
    """

    exit: Exit
    trap: Trap | None
    traps: list[Trap]
    calls: list[int]
    labels: dict[str, int]
    regs: dict[str, int] = field(repr=False)

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["regs"][name]  # type: ignore[no-any-return]  # a dict of int
        except KeyError:
            raise AttributeError(f"no register {name!r}") from None

    @property
    def ended(self) -> bool:
        """Whether the program reached its end."""
        return self.exit is Exit.STOPPED and self.trap is None


class Bare:
    """A machine with descriptor tables and pages, ready for programs.

    Args:
        machine: which one; by default a new one.
        mem, microcode: for a new one.

    Attributes:
        on_trap: by vector, what to do when a trap is reported: a function that may change the trap
            with :meth:`change`, and returns True to end the run; else the program is resumed.
        stub: the address of each vector's stub.
    """

    def __init__(self, machine: Machine | None = None, *, mem: int = 4 * MIB,
                 microcode: MicrocodeKind | None = None) -> None:
        self.machine = machine or Machine(mem, microcode=microcode)
        self.cpu = self.machine.cpu
        self.ram = self.machine.ram
        self.on_trap: dict[int, Callable[[Trap], bool | None]] = {}
        self._next_frame = FIRST_FRAME
        self._trap: Trap | None = None
        self._traps: list[Trap] = []
        self._calls: list[int] = []
        self._ended = False
        code, self._labels = _stubs()
        self.stub = [self._labels[f"vector{vector}"] for vector in range(NR_VECTORS)]
        self.ram.write(STUBS, code)
        self._fill_tables()
        self.machine.host_call = self._host_call
        boot.enter_long_mode(self.machine, self._labels["start"], stack=KERNEL_STACK)
        self.map(USER_CODE, flags=PTE.P | PTE.US)
        self.map(USER_DATA)
        self.map(USER_STACK - PAGE_SIZE)
        reason = self.machine.run()
        assert reason is Exit.HALT, reason

    # Snapshots

    def snapshot(self) -> Snapshot:
        """Return the state, between two programs."""
        return self.machine.snapshot({"next_frame": str(self._next_frame)})

    def restore(self, snapshot: Snapshot) -> None:
        """Take a state back that :meth:`snapshot` has returned; nobody handles traps then.

        Host calls come here again, if somebody else had taken them.

        Raises:
            SnapshotError: it is none of such a machine.
        """
        if "next_frame" not in snapshot.notes:
            raise SnapshotError("the snapshot is of no bare machine")
        self.machine.restore(snapshot)
        self._next_frame = int(snapshot.notes["next_frame"])
        self.on_trap.clear()
        self.machine.host_call = self._host_call
        self._trap, self._traps, self._calls, self._ended = None, [], [], False

    # Tables

    def gate(self, vector: int, offset: int | None = None, selector: int = descriptors.KERNEL_CS,
             *, type_: int = descriptors.INTERRUPT_GATE, dpl: int = 0, ist: int = 0,
             present: bool = True) -> None:
        """Set a gate of the IDT; by default it leads to the vector's stub."""
        data = bytearray(descriptors.gate(self.stub[vector] if offset is None else offset,
                                          selector, type_=type_, dpl=dpl, ist=ist))
        if not present:
            data[5] &= ~descriptors.GATE_PRESENT
        self.ram.write(IDT + vector * descriptors.GATE_SIZE, data)

    def descriptor(self, selector: int, value: int) -> None:
        """Set an entry of the GDT.  Those from 0x50 to 0xFF8 are free for use."""
        self.ram.u64[(GDT + (selector & ~7)) >> 3] = value

    def allow_ports(self, ports: range, *, limit: int = 0x1_0000 // 8) -> None:
        """Give the TSS a bitmap in which ring 3 may use ``ports``, and no others.

        Args:
            limit: bytes of the bitmap that the segment's limit covers; the last is all ones.
        """
        bitmap = bytearray(b"\xff" * (0x1_0000 // 8 + 1))
        for port in ports:
            bitmap[port >> 3] &= ~(1 << (port & 7))
        self.ram.write(TSS_BITMAP, bitmap)
        self.ram.write(TSS + descriptors.TSS_IO_MAP_BASE,
                       descriptors.TSS_SIZE.to_bytes(2, "little"))
        self.load_tss(descriptors.TSS_SIZE + limit)

    def load_tss(self, limit: int) -> None:
        """Load the task register with a descriptor of this limit."""
        self.ram.write(GDT + descriptors.TSS_SELECTOR, descriptors.tss_descriptor(TSS, limit))
        self.run(f"mov ax, {descriptors.TSS_SELECTOR:#x}\n ltr ax")

    # Pages

    def frame(self) -> int:
        """Return the physical address of an unused page of zeros."""
        pa = self._next_frame
        self._next_frame += PAGE_SIZE
        assert self._next_frame <= self.ram.size, "out of frames"
        return pa

    def map(self, va: int, pa: int | None = None, *, flags: int = USER_PAGE) -> int:
        """Map a page, at a new frame if ``pa`` is not given; return its physical address.

        The TLB is left as it is: a program that ran before may need INVLPG.
        """
        if pa is None:
            pa = self.frame()
        self.ram.u64[self.entry(va, make=True) >> 3] = pa | flags
        return pa

    def entry(self, va: int, level: int = 3, *, make: bool = False) -> int:
        """Return where the entry that maps ``va`` lies.

        Args:
            level: 0 for the PML4, 3 for the page table.
            make: make tables that are missing.
        """
        u64 = self.ram.u64
        table = boot.PML4
        for depth in range(level + 1):
            place = table + (va >> LEVEL_SHIFTS[depth] & 511) * 8
            if depth == level:
                return place
            if not u64[place >> 3] & PTE.P and make:
                u64[place >> 3] = self.frame() | PTE.P | PTE.RW | PTE.US
            u64[place >> 3] |= PTE.US if make else 0
            table = u64[place >> 3] & ~0xFFF & ~PTE.NX
        raise AssertionError("unreachable")

    def read(self, va: int, size: int) -> bytes:
        """Return linear memory, as the tables map it now."""
        return self.cpu.read_linear(va, size)

    def write(self, va: int, data: bytes) -> None:
        """Store to linear memory, code or data, whatever the page's rights."""
        done = 0
        while done < len(data):
            place = va + done
            part = data[done : done + PAGE_SIZE - place % PAGE_SIZE]
            self.machine.write_code(
                mmu.translate(self.ram, self.cpu.regs.cr3, place, mmu.Access.READ, user=False,
                              set_ad=False), part)
            done += len(part)

    # Programs

    def assemble(self, source: str, ring: int = 0, *,
                 symbols: Mapping[str, int] | None = None) -> dict[str, int]:
        """Place a program where ``ring``'s lies; return its labels.

        It ends with ``int END``, so running off its end is the end.
        """
        base = USER_CODE if ring else KERNEL_CODE
        code, labels = assemble(f"{source}\n int {END}\n", base, symbols)
        self.place(code, ring)
        return labels

    def place(self, code: bytes, ring: int = 0) -> None:
        """Place machine code where ``ring``'s program lies."""
        if not ring:
            self.machine.write_code(KERNEL_CODE, code)
            return
        for page in range(0, len(code), PAGE_SIZE):
            if not self.ram.u64[self.entry(USER_CODE + page, make=True) >> 3] & PTE.P:
                self.map(USER_CODE + page, flags=PTE.P | PTE.US)
        self.write(USER_CODE, code)

    def run(self, source: str | None = None, ring: int = 0, *, rflags: int = RFLAGS.RESERVED1,
            until: int | None = None, symbols: Mapping[str, int] | None = None,
            **registers: int) -> Result:
        """Assemble a program and run it, from its first byte.

        Args:
            source: None for what has been placed.
            ring: 0, or 3.
            rflags: with which it begins; interrupts are off by default.
            until: clock at which to give up, by default :data:`LIMIT` from now.
            registers: with which it begins, by name; ``rip`` and ``rsp`` too.
        """
        labels = {} if source is None else self.assemble(source, ring, symbols=symbols)
        self.begin(ring, rflags=rflags, **registers)
        return self.go(until, labels)

    def begin(self, ring: int = 0, *, rflags: int = RFLAGS.RESERVED1, cs: int | None = None,
              ss: int | None = None, **registers: int) -> None:
        """Be about to enter a program, by an IRETQ; :meth:`go` then runs it."""
        start = registers.pop("rip", USER_CODE if ring else KERNEL_CODE)
        stack = registers.pop("rsp", USER_STACK if ring else KERNEL_STACK)
        if cs is None:
            cs = descriptors.USER_CS if ring else descriptors.KERNEL_CS
        if ss is None:
            ss = descriptors.USER_DS if ring else descriptors.KERNEL_DS
        self._to_ring_0()
        regs = self.cpu.regs
        frame = RSP0 - 8 * len(_FRAME)
        self.ram.write(frame, struct.pack("<5Q", start, cs, rflags, stack, ss))
        regs.rsp, regs.rip, regs.rflags = frame, self._labels["enter"], RFLAGS.RESERVED1
        for name in _GENERAL:
            setattr(regs, name, registers.pop(name, 0))
        for name, value in registers.items():
            setattr(regs, name, value)

    def go(self, until: int | None = None, labels: dict[str, int] | None = None) -> Result:
        """Run on, from where the last run stopped."""
        self._trap, self._traps, self._calls, self._ended = None, [], [], False
        reason = self.machine.run(self.machine.clock + LIMIT if until is None else until)
        trap = self._trap
        regs = dict(trap.regs) if trap is not None and reason is Exit.STOPPED else {
            name: getattr(self.cpu.regs, name) for name in (*_GENERAL, *_FRAME)}
        return Result(reason, None if self._ended else trap, self._traps, self._calls,
                      labels or {}, regs)

    def change(self, **registers: int) -> None:
        """Change the interrupted program's registers, for when it is resumed."""
        base = self.ram.u64[REPORT >> 3]
        for name, value in registers.items():
            self.write(base + 8 * _PUSHED.index(name),
                       (value & (1 << 64) - 1).to_bytes(8, "little"))

    # The inside

    def _fill_tables(self) -> None:
        ram = self.ram
        for selector, value in (
            (descriptors.KERNEL_CS, descriptors.KERNEL_CODE_DESCRIPTOR),
            (descriptors.KERNEL_DS, descriptors.KERNEL_DATA_DESCRIPTOR),
            (descriptors.USER32_CS, descriptors.USER32_CODE_DESCRIPTOR),
            (descriptors.USER_DS, descriptors.USER_DATA_DESCRIPTOR),
            (descriptors.USER_CS, descriptors.USER_CODE_DESCRIPTOR),
        ):
            self.descriptor(selector, value)
        ram.write(GDT + descriptors.TSS_SELECTOR,
                  descriptors.tss_descriptor(TSS, descriptors.TSS_SIZE - 1))
        for vector in range(NR_VECTORS):
            self.gate(vector)
        self.gate(END, dpl=3)
        ram.write(TSS + descriptors.TSS_RSP0, RSP0.to_bytes(8, "little"))
        for n in range(7):
            ram.write(TSS + descriptors.TSS_IST1 + 8 * n,
                      (IST + (n + 1) * PAGE_SIZE).to_bytes(8, "little"))
        # Behind the limit: there is no bitmap, so ring 3 has no ports.
        ram.write(TSS + descriptors.TSS_IO_MAP_BASE, descriptors.TSS_SIZE.to_bytes(2, "little"))

    def _to_ring_0(self) -> None:
        """If the last program was stopped in ring 3, interrupt it."""
        if self.cpu.cpl:
            ended, self._ended = self._ended, True
            self.cpu.deliver(END, external=True)
            self._ended = ended

    def _host_call(self, number: int) -> None:
        if number != REPORT_CALL:
            self._calls.append(number)
            return
        base = self.ram.u64[REPORT >> 3]
        pushed = dict(zip(_PUSHED, struct.unpack(f"<{len(_PUSHED)}Q",
                                                 self.read(base, 8 * len(_PUSHED))), strict=True))
        regs = self.cpu.regs
        frame = base + 8 * _PUSHED.index("rip")
        vector = pushed["vector"]
        trap = Trap(
            vector=vector, error_code=pushed["error_code"],
            regs={name: pushed[name] for name in (*_GENERAL, *_FRAME)}, cr2=regs.cr2,
            handler={"cs": regs.cs, "ss": regs.ss, "rflags": pushed["handler_rflags"],
                     "rsp": frame - 8 if vector in WITH_ERROR_CODE else frame},
            frame=frame, clock=self.machine.clock,
        )
        self._trap = trap
        if vector == END:
            self._ended = True
        else:
            self._traps.append(trap)
            handle = self.on_trap.get(vector)
            if handle is not None and not handle(trap):
                return
        self.machine.stop(Exit.STOPPED)

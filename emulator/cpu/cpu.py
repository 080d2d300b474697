"""The CPU: the engine with its missing microcode, run until an exit.

Unicorn executes instructions, walks page tables and honours privilege.  It does not deliver
exceptions, perform SYSCALL, check port privilege or keep time; hooks do that here, in one of two
ways that must not differ: ``native`` (``native.asm``, 0.25 µs a transition) or ``python``
(``microcode.py``, the reference, 3.5 µs).

Facts of the engine that shape this file, each held by ``tests/unit/test_unicorn_contract.py``:

- ``until`` of ``uc_emu_start`` ends runs silently and its probe leaves a wrong pending exception
  behind, so exits are enabled and none is set.
- ``uc_emu_stop`` from a block hook ends the run before the block.  From a port hook it ends the run
  later in that block, and if a memory access comes first, with RIP at the block's start, as if
  nothing of it had been executed.  So a host call only makes the next block's hook stop, and code
  puts a jump right behind it; and a refused port access takes away the address space from what
  follows it, and brings back the state before it: see :meth:`Cpu._refuse`.
- RIP is exact inside RDTSC, SYSCALL and exception hooks, but inside the hooks for ports, device
  memory and SYSENTER it is the block's; see :mod:`emulator.cpu.block`.
- INS stores 0 to its destination before it asks for the port, so a refused INS leaves 0 there.
- Memory outside RAM that nothing is mapped to would end the run with an error, so all of it is
  mapped to the bus; instructions cannot be fetched there, which is #UD here: all ones are no code.
- The engine takes INT1 and RDPMC for undefined: see :meth:`Cpu._on_invalid`.  It calls ``abort()``
  over LOCK before a bit test of a register: see :mod:`emulator.cpu.abort`.
- SYSCALL's hook may set RIP, and the engine then adds the instruction's length, prefixes included.
- ``old_exception`` must be reset after each delivery: see :class:`Microcode`.

Differences from a processor that remain: no #AC for unaligned data, no #GP for a reserved bit of
CR4 or for IRETQ to a non-canonical RIP (the fetch there faults instead), RDMSR of an unknown MSR
is 0, instruction breakpoints in DR0 to DR3 work and data breakpoints do not.  If the last
instruction of a block lies half on a page that is missing, #PF comes before the block and not
before that instruction.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_uint32, c_uint64, c_void_p
from functools import partial
from typing import Any, Final, Literal, Protocol

from emulator.arch.descriptors import GATE_PRESENT, GATE_SIZE
from emulator.arch.exceptions import FIRST_EXTERNAL_VECTOR, CpuException, Vector
from emulator.arch.paging import PAGE_SIZE, is_canonical
from emulator.arch.registers import MSR, RFLAGS
from emulator.cpu import abort, binding, block, control, mmu
from emulator.cpu.binding import REGISTERS, EngineError, check, lib
from emulator.cpu.context import GENERAL, RSP, Context, measure, uc_x86_msr
from emulator.cpu.control import Activity, Exit
from emulator.cpu.microcode import HF_CPL, HF_CS64, HF_INHIBIT_IRQ, Microcode, Shutdown
from emulator.cpu.native import native_microcode, supported
from emulator.cpu.stops import Stops
from emulator.memory import Ram

HOST_CALL_PORT: Final = 0xF0
HLT: Final = 0xF4
END_OF_MEMORY: Final = 1 << mmu.MAXPHYADDR
# A page-table base where no memory answers: every walk from there faults.
NOWHERE: Final = END_OF_MEMORY - PAGE_SIZE

DR7_RESERVED1: Final = 1 << 10  # always 1; no breakpoint is enabled

# Opcodes that the engine takes for undefined, after prefixes and REX.
_PREFIXES: Final = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3"
_INT1: Final = b"\xf1"
_RDPMC: Final = b"\x0f\x33"

_M64: Final = (1 << 64) - 1
_HOST_CALL: Final = Exit.HOST_CALL  # looked up a million times a second

MicrocodeKind = Literal["native", "python"]


class PortBus(Protocol):
    """What IN and OUT reach."""

    def read(self, port: int, size: int) -> int: ...
    def write(self, port: int, size: int, value: int) -> None: ...


class MmioBus(Protocol):
    """What loads and stores to device addresses reach."""

    def read(self, pa: int, size: int) -> int: ...
    def write(self, pa: int, size: int, value: int) -> None: ...


class Nothing:
    """A bus without devices: reads float high, writes are lost."""

    def read(self, _address: int, size: int) -> int:
        return (1 << 8 * size) - 1

    def write(self, _address: int, size: int, value: int) -> None:
        """Nobody listens."""


class Registers:
    """The registers by name: ``regs.rax``, ``regs.rflags``, ``regs.cr3``, ``regs.fs_base``."""

    __slots__ = ("_cpu",)
    _cpu: Cpu

    def __init__(self, cpu: Cpu) -> None:
        object.__setattr__(self, "_cpu", cpu)

    def __getattr__(self, name: str) -> int:
        if name not in REGISTERS:
            raise AttributeError(f"no register {name!r}")
        return self._cpu.read_register(name)

    def __setattr__(self, name: str, value: int) -> None:
        if name not in REGISTERS:
            raise AttributeError(f"no register {name!r}")
        self._cpu.write_register(name, value)


class Cpu:
    """One processor on ``ram``.

    Args:
        ram: physical memory, mapped from address 0.
        ports: what IN and OUT reach; the host-call port is the CPU's own.
        mmio: what all physical memory outside RAM reaches, by physical address.
        microcode: ``"native"``, ``"python"``, or ``None`` for native where the host can.

    Attributes:
        words: the control block, see :mod:`emulator.cpu.control`; an index is the offset >> 3.
        microcode: which one is in use.
        regs: the registers.
        stops: breakpoints and watchpoints.
        context: the microcode's scratch, into which the state is saved and loaded from again.
        block_address: where the control block lies, which the hooks are given.
    """

    def __init__(self, ram: Ram, ports: PortBus, mmio: MmioBus | None = None, *,
                 microcode: MicrocodeKind | None = None) -> None:
        self.ram = ram
        self.ports = ports
        self.mmio = mmio or Nothing()
        if microcode is None:
            microcode = "native" if supported() else "python"
        self.microcode = microcode
        self.uc = binding.open_engine()
        check(lib.uc_mem_map_ptr(self.uc, 0, ram.size, binding.UC_PROT_ALL, ram.address), "map RAM")
        self.layout = measure(self.uc)
        self.context = Context(self.uc, self.layout)
        self._refused = Context(self.uc, self.layout)
        self._reference = Microcode(ram, self.context)
        self._block = mmap.mmap(-1, control.SIZE)
        self.words = memoryview(self._block).cast("Q")
        self.block_address = ctypes.addressof(ctypes.c_char.from_buffer(self._block))
        self._word = c_uint64()
        self._word_pointer = ctypes.byref(self._word)
        self._raised: BaseException | None = None
        # What the running block has accessed so far; counts while the control
        # block's ACCESSES is the clock.
        self._port_accesses = 0
        self._running: block.Block | None = None
        self._accessing: Callable[[], int] | None = None  # in an access's hook: finds its RIP
        self._half: tuple[int, int] | None = None  # of an access of 8 bytes to a device
        self.regs = Registers(self)
        self._fill_control_block()
        self._hook()
        self.stops = Stops(self)

    def close(self) -> None:
        """Free the engine."""
        if self.uc.value:
            lib.uc_close(self.uc)
            self.uc.value = None

    def __del__(self) -> None:
        if lib is not None and hasattr(self, "uc"):
            self.close()

    # Running

    def run(self) -> Exit:
        """Run from RIP until something stops the CPU, and say what.

        Raises:
            EngineError: the engine gave up, or stopped for no reason.
            BaseException: whatever a device raised inside a port access.
        """
        reason = self._enter()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if reason == _HOST_CALL:
            return _HOST_CALL
        if reason == Exit.PORT:
            return Exit.PORT if self._deliver_refused() else Exit.SHUTDOWN
        if reason == Exit.NONE:
            return self._halted()
        if reason == Exit.ERROR:
            return self._failed(self.words[control.ERROR >> 3] & 0xFFFF_FFFF)
        if self.stops.take_hit():
            return Exit.WATCHPOINT
        return Exit(reason)

    def step(self) -> Exit:
        """Execute the instruction at RIP, or one repetition of it.

        Whoever calls has looked for interrupts before; the clock's limits do not count.

        Returns:
            STEP: it has been executed, or has raised an exception, which is delivered.
            HOST_CALL: it was one; with the rest of its block, as when it runs freely.
            HALT, SHUTDOWN, WATCHPOINT: as :meth:`run`.
        """
        words = self.words
        self.stops.hook_instructions(True)
        self.stops.passed = words[control.CLOCK >> 3], self.rip
        # Before the second instruction, or where a second block or a handler begins.
        words[control.STOP_NEXT >> 3] = 2
        words[control.DEADLINE >> 3] = words[control.CLOCK >> 3] + 1
        words[control.SLICE_END >> 3] = 0
        reason = self.run()
        words[control.STOP_NEXT >> 3] = 0
        self.stops.passed = words[control.CLOCK >> 3], self.rip
        return Exit.STEP if reason in (Exit.TIMER, Exit.PORT) else reason

    def _halted(self) -> Exit:
        """Nobody has said why the run ended: it was HLT, or the engine has lost an exception."""
        try:
            if self.read_linear(self.rip - 1, 1)[0] == HLT:
                self.words[control.ACTIVITY >> 3] = Activity.HLT
                return Exit.HALT
        except (CpuException, IndexError):
            pass
        with self._saved() as context:
            pending = context.i32[self.layout.old_exception >> 2]
        raise EngineError(f"the engine stopped at {self.rip:#x} without a reason; "
                          f"its pending exception is {pending}")

    def _failed(self, error: int) -> Exit:
        """The engine has refused to go on; if it could not fetch outside RAM, deliver #UD."""
        if error not in (binding.UC_ERR_FETCH_PROT, binding.UC_ERR_FETCH_UNMAPPED):
            check(error, f"emulation at {self.rip:#x}")
        return Exit.PORT if self.deliver(Vector.UD) else Exit.SHUTDOWN

    @property
    def rip(self) -> int:
        """Where the next run begins."""
        return self.words[control.RIP >> 3]

    @property
    def clock(self) -> int:
        """Virtual nanoseconds: see :mod:`emulator.cpu.control`."""
        return self.words[control.CLOCK >> 3]

    def now(self) -> int:
        """The clock at this instruction, also from inside a device's access."""
        words = self.words
        clock = words[control.CLOCK >> 3]
        size = words[control.BLOCK_SIZE >> 3]
        if size:
            rip = self._accessing() if self._accessing is not None else self._read("rip")
            inside = rip - words[control.BLOCK_START >> 3] & _M64
            if inside < size:
                clock -= size - inside
        return clock

    def rip_inside(self) -> int:
        """RIP as the engine has it inside a hook; of which hooks exactly, see above."""
        return self._read("rip")

    def stop(self, reason: Exit) -> None:
        """End the current run; for a hook of exceptions or blocks, or when the state is lost."""
        self.words[control.EXIT >> 3] = reason
        lib.uc_emu_stop(self.uc)

    def interruptible(self) -> bool:
        """Tell whether a maskable interrupt would be taken now."""
        with self._saved() as context:
            held_off = context.u32[self.layout.hflags >> 2] & HF_INHIBIT_IRQ
            return bool(context.u64[self.layout.eflags >> 3] & RFLAGS.IF and not held_off)

    def deliver(self, vector: int, error_code: int = 0, *, external: bool = False,
                software: bool = False, cr2: int | None = None) -> bool:
        """Deliver an interrupt or exception at RIP, between two runs; it wakes a halted CPU.

        Returns:
            False if the machine has shut down (a triple fault).
        """
        lib.uc_context_save(self.uc, self.context.pointer)
        context, lay = self.context, self.layout
        context.u64[lay.rip >> 3] = self.rip
        if cr2 is not None:
            context.u64[(lay.cr >> 3) + 2] = cr2
        self.words[control.ACTIVITY >> 3] = Activity.ACTIVE
        alive = self._deliver(vector, error_code, software=software, external=external)
        # Outside a run the engine keeps all flags in one place, from which a run begins.
        context.u64[lay.eflags >> 3] |= context.u64[lay.cc_src >> 3] | (
            RFLAGS.DF if context.i32[lay.df >> 2] < 0 else 0)
        lib.uc_context_restore(self.uc, context.pointer)
        self.words[control.RIP >> 3] = context.u64[lay.rip >> 3]
        return alive

    # Registers

    def read_register(self, name: str) -> int:
        """Return a register's value."""
        return self.rip if name == "rip" else self._read(name)

    def write_register(self, name: str, value: int) -> None:
        """Set a register; a segment's selector alone, without loading the segment.

        A new RIP also wakes a CPU that has halted or shut down.
        """
        if name == "rip":
            self.words[control.RIP >> 3] = value
            self.words[control.ACTIVITY >> 3] = Activity.ACTIVE
        if name == "dr7":
            self._write_dr7(value)
            return
        self._word.value = value
        check(lib.uc_reg_write(self.uc, REGISTERS[name], self._word_pointer), f"write {name}")

    def read_msr(self, msr: MSR) -> int:
        """Return a model-specific register."""
        cell = uc_x86_msr(msr, 0)
        check(lib.uc_reg_read(self.uc, binding.UC_X86_REG_MSR, ctypes.byref(cell)), "read MSR")
        return int(cell.value)

    def write_msr(self, msr: MSR, value: int) -> None:
        """Set a model-specific register."""
        cell = uc_x86_msr(msr, value)
        check(lib.uc_reg_write(self.uc, binding.UC_X86_REG_MSR, ctypes.byref(cell)), "write MSR")

    @property
    def cpl(self) -> int:
        """The current privilege level: the ring."""
        with self._saved() as context:
            return int(context.u32[self.layout.hflags >> 2] & HF_CPL)

    @property
    def engine(self) -> str:
        """What :meth:`save_state`'s answer depends on: the engine's version, and its layout."""
        return f"Unicorn {'.'.join(map(str, binding.version()))}, {len(self.context.state)} bytes"

    def idt_handlers(self) -> list[int]:
        """Return where the IDT's gates lead, by vector; 0: no gate, or none that can be read."""
        with self._saved() as context:
            table = context.u64[(self.layout.segment("idt") + 8) >> 3]
            limit = context.u32[(self.layout.segment("idt") + 16) >> 2]
        handlers = []
        for vector in range(256):
            gate = self.code(table + vector * GATE_SIZE, GATE_SIZE) if (
                vector * GATE_SIZE + GATE_SIZE - 1 <= limit) else b""
            low, middle, high = gate[:2], gate[6:8], gate[8:12]
            present = len(gate) == GATE_SIZE and gate[5] & GATE_PRESENT
            handlers.append(int.from_bytes(low + middle + high, "little") if present else 0)
        return handlers

    def external_events(self) -> int:
        """Return how many interrupts have been delivered that are no exceptions."""
        first = (control.TRAPS >> 3) + FIRST_EXTERNAL_VECTOR
        return sum(self.words[first : first + 256 - FIRST_EXTERNAL_VECTOR].tolist())

    def save_state(self) -> bytes:
        """Return all registers and the activity; opaque, for engines of equal :attr:`engine`."""
        with self._saved() as context:
            context.u64[self.layout.rip >> 3] = self.rip
            pointers = self.layout.dr + 64  # to the engine's own breakpoints, see _write_dr7
            context.u8[pointers : pointers + 32] = bytes(32)
            return bytes(context.state) + bytes((self.words[control.ACTIVITY >> 3],))

    def restore_state(self, state: bytes) -> None:
        """Load what :meth:`save_state` returned; the TLB is emptied.

        Translations stay: where code has changed too, call :meth:`forget_code`.

        Raises:
            ValueError: the state is not of this engine's size.
        """
        context, dr7 = self.context, (self.layout.dr >> 3) + 7
        if len(state) != len(context.state) + 1:
            raise ValueError(f"{len(state)} bytes are no state of this engine")
        self._write_dr7(DR7_RESERVED1)  # takes away what the present state has set
        context.state[:] = state[:-1]
        breakpoints, context.u64[dr7] = context.u64[dr7], DR7_RESERVED1
        lib.uc_context_restore(self.uc, context.pointer)
        self._write_dr7(breakpoints)
        self.words[control.ACTIVITY >> 3] = state[-1]
        self.words[control.RIP >> 3] = self.context.u64[self.layout.rip >> 3]
        # So that the first block looks whether RAM agrees on who runs: see RING0_TIMES.
        self.words[control.BLOCK_START >> 3] = ~self.rip & _M64
        binding.flush_tlb(self.uc)

    def save_counters(self) -> list[int]:
        """Return the control block's words that :data:`control.SAVED` names: clock and counts."""
        return [word for start, end in control.SAVED
                for word in self.words[start >> 3 : end >> 3].tolist()]

    def restore_counters(self, saved: Sequence[int]) -> None:
        """Load what :meth:`save_counters` returned.

        Raises:
            ValueError: it does not have that many words, or one is not of 64 bits.
        """
        if len(saved) != control.NR_SAVED or not all(0 <= word <= _M64 for word in saved):
            raise ValueError(f"not {control.NR_SAVED} words of 64 bits")
        place = 0
        for start, end in control.SAVED:
            for index in range(start >> 3, end >> 3):
                self.words[index] = saved[place]
                place += 1

    @contextmanager
    def edit(self) -> Iterator[Context]:
        """Change the whole register state: a saved context that is loaded again at the end."""
        with self._saved() as context:
            context.u64[self.layout.rip >> 3] = self.rip
            yield context
            lib.uc_context_restore(self.uc, context.pointer)
            self.words[control.RIP >> 3] = context.u64[self.layout.rip >> 3]

    def _write_dr7(self, value: int) -> None:
        """Set DR7 as MOV would.

        The engine keeps a breakpoint object of its own for each that DR7 enables, and the pointers
        to them lie in its state; so DR7 must never be set without them.

        Raises:
            EngineError: there are breakpoints to set or to clear, and the engine's own function for
                it cannot be called.
        """
        state = self.words[control.CPU_STATE >> 3]
        if state:
            lib.cpu_x86_update_dr7_x86_64(c_void_p(state), c_uint32(value))
            return
        if (value | self._read("dr7")) & 0xFF:
            raise EngineError(f"the breakpoints of DR7 {value:#x} cannot be set on this engine")
        self._word.value = value
        check(lib.uc_reg_write(self.uc, REGISTERS["dr7"], self._word_pointer), "write dr7")

    # Memory as the CPU sees it

    def read_linear(self, va: int, size: int) -> bytes:
        """Read linear memory as ring 0 would, without a trace in the page tables.

        Raises:
            CpuException: #PF or #GP, as the access would have it.
            IndexError: outside RAM.
        """
        if not self.regs.cr0 >> 31 & 1:
            return self.ram.read(va, size)
        return mmu.read_linear(self.ram, self.regs.cr3, va, size, set_ad=False)

    def forget_code(self, pa: int, size: int) -> None:
        """Forget what was translated from these bytes of RAM, because they have new content."""
        binding.forget_code(self.uc, pa, pa + size)

    def count_ring0(self, pa: int) -> None:
        """Count the kernel's time in two words of RAM from now on: see :mod:`.control`.

        Args:
            pa: physical address of the first, a multiple of 8.

        Raises:
            ValueError: they do not lie in RAM, or not aligned.
        """
        if pa % 8 or not 0 <= pa <= self.ram.size - 16:
            raise ValueError(f"{pa:#x} is no place for two words of RAM")
        self.words[control.RING0_TIMES >> 3] = self.ram.address + pa

    def flush_tlb(self) -> None:
        """Forget address translations, as if CR3 and CR4.PGE had been rewritten."""
        binding.flush_tlb(self.uc)

    # The inside

    def _fill_control_block(self) -> None:
        def function(name: str) -> int:
            return abort.address_of(getattr(lib, name))

        words = self.words
        for offset, value in {
            control.DEADLINE: (1 << 64) - 1, control.SLICE_END: (1 << 64) - 1,
            control.ENGINE: self.uc.value, control.CONTEXT: self.context.pointer.value,
            control.RAM_BASE: self.ram.address, control.RAM_SIZE: self.ram.size,
            control.UC_CONTEXT_SAVE: function("uc_context_save"),
            control.UC_CONTEXT_RESTORE: function("uc_context_restore"),
            control.UC_REG_READ: function("uc_reg_read"),
            control.UC_REG_WRITE: function("uc_reg_write"),
            control.UC_EMU_START: function("uc_emu_start"),
            control.UC_EMU_STOP: function("uc_emu_stop"),
        }.items():
            assert value is not None
            words[offset >> 3] = value
        self._start: Callable[[], int] = lambda: lib.uc_emu_start(self.uc, self.rip, 0, 0, 0)
        if supported():
            start = abort.code().entry["start"]
            words[control.START >> 3] = start
            state = abort.cpu_state(self.uc)
            if state is not None:
                words[control.CPU_STATE >> 3] = state
                words[control.RAISE_EXCEPTION >> 3] = function("raise_exception_x86_64")
            guarded = ctypes.CFUNCTYPE(ctypes.c_uint32, c_void_p)(start)
            control_block = c_void_p(self.block_address)
            self._start = lambda: guarded(control_block)

    def _hook(self) -> None:
        """Install the hooks; Python's are always made, the native ones fall back on them."""
        python: dict[str, Any] = {
            "on_block": binding.BLOCK_HOOK(self.shield(self._on_block, None)),
            "on_intr": binding.INTR_HOOK(self.shield(self._on_intr, None)),
            "on_invalid": binding.INVALID_HOOK(self.shield(self._on_invalid, True)),
            "on_syscall": binding.SYSCALL_HOOK(self.shield(self._on_syscall, None)),
            "on_sysenter": binding.SYSCALL_HOOK(self.shield(self._on_sysenter, None)),
            "on_out": binding.OUT_HOOK(self.shield(self._on_out, None, inside=True)),
            "on_in": binding.IN_HOOK(self.shield(self._on_in, 0, inside=True)),
            "on_rdtsc": binding.HANDLED_HOOK(self.shield(self._on_rdtsc, 1, inside=True)),
            "on_rdtscp": binding.HANDLED_HOOK(self.shield(self._on_rdtscp, 1, inside=True)),
        }
        self._callbacks: list[object] = list(python.values())
        self._enter: Callable[[], int] = self._enter_python
        hooks = self._choose(python)
        instructions = {
            "on_syscall": binding.UC_X86_INS_SYSCALL, "on_sysenter": binding.UC_X86_INS_SYSENTER,
            "on_out": binding.UC_X86_INS_OUT, "on_in": binding.UC_X86_INS_IN,
            "on_rdtsc": binding.UC_X86_INS_RDTSC, "on_rdtscp": binding.UC_X86_INS_RDTSCP,
        }
        kinds = {"on_block": binding.UC_HOOK_BLOCK, "on_intr": binding.UC_HOOK_INTR,
                 "on_invalid": binding.UC_HOOK_INSN_INVALID}
        for name, callback in hooks.items():
            binding.hook_add(self.uc, kinds.get(name, binding.UC_HOOK_INSN), callback,
                             self.block_address, instructions.get(name))
        load = binding.MMIO_READ(self.shield(self._on_load, 0, inside=True))
        store = binding.MMIO_WRITE(self.shield(self._on_store, None, inside=True))
        self._callbacks += [load, store]
        check(lib.uc_mmio_map(self.uc, self.ram.size, END_OF_MEMORY - self.ram.size,
                              load, None, store, None), "map the bus")

    def native_hook(self, name: str) -> int | None:
        """Return the address of a native hook; None if this CPU does without."""
        if self.microcode != "native":
            return None
        return native_microcode(self.layout, HOST_CALL_PORT).entry[name]

    def _choose(self, python: dict[str, Any]) -> dict[str, Any]:
        """Return the hooks to install, and set how to enter: native ones, as far as there are."""
        if self.microcode != "native":
            return python
        native = native_microcode(self.layout, HOST_CALL_PORT)
        self.words[control.SLOW_INTR >> 3] = abort.address_of(python["on_intr"])
        self.words[control.SLOW_SYSCALL >> 3] = abort.address_of(python["on_syscall"])
        self.words[control.SLOW_OUT >> 3] = abort.address_of(python["on_out"])
        enter = ctypes.CFUNCTYPE(ctypes.c_uint32, c_void_p)(native.entry["run"])
        control_block = c_void_p(self.block_address)
        self._enter = partial(enter, control_block)
        return python | {name: native.entry[name] for name in python if name in native.entry}

    def shield(self, hook: Callable[..., Any], otherwise: Any, *,
                inside: bool = False) -> Callable[..., Any]:
        """Wrap a hook: an exception inside it ends the run and comes out of :meth:`run`.

        Args:
            otherwise: what the hook then answers.
            inside: it is called in the middle of a block.  The run then ends where the block does,
                because what it has done so far must not be done again.
        """
        def shielded(*arguments: Any) -> Any:
            try:
                return hook(*arguments)
            except BaseException as error:
                self._raised = error
                if inside:
                    words = self.words
                    words[control.DEADLINE >> 3] = words[control.SLICE_END >> 3] = 0
                else:
                    with self._saved() as context:
                        context.i32[self.layout.old_exception >> 2] = -1
                        lib.uc_context_restore(self.uc, context.pointer)
                    self.stop(Exit.ERROR)
                return otherwise

        return shielded

    @contextmanager
    def _saved(self) -> Iterator[Context]:
        lib.uc_context_save(self.uc, self.context.pointer)
        yield self.context

    def _read(self, name: str) -> int:
        self._word.value = 0
        lib.uc_reg_read(self.uc, REGISTERS[name], self._word_pointer)
        return self._word.value

    def _deliver(self, vector: int, error_code: int, *, software: bool = False,
                 external: bool = False) -> bool:
        """Deliver on the saved context; on a triple fault, stop the machine."""
        context, lay, words = self.context, self.layout, self.words
        rip = context.u64[lay.rip >> 3]
        words[control.CLOCK >> 3] += 1
        try:
            vector = self._reference.deliver(
                vector, error_code, rip, self._read("rflags"), software=software,
                external=external,
                restart=(lambda: self._restart(vector, rip)) if software else None)
        except Shutdown:
            context.i32[lay.old_exception >> 2] = -1
            words[control.ACTIVITY >> 3] = Activity.SHUTDOWN
            self.stop(Exit.SHUTDOWN)
            return False
        words[(control.TRAPS >> 3) + vector] += 1
        if not words[control.EXIT >> 3] and (
                words[control.CLOCK >> 3] >= words[control.SLICE_END >> 3]):
            self.stop(Exit.TIMER)
        return True

    def _restart(self, vector: int, rip: int) -> int:
        """Return where the INT n that ends at ``rip`` begins, and take its bytes off the clock."""
        start = self.words[control.BLOCK_START >> 3]
        place = None
        if 0 < rip - start <= block.LONGEST:
            place = block.instruction_before(self.code(start, rip - start), start)
        if place is None:
            place = rip - (1 if vector == Vector.BP else 2)
        self.words[control.CLOCK >> 3] -= rip - place
        return place

    def code(self, va: int, size: int) -> bytes:
        """Return code that has just been executed; nothing if its mapping has gone meanwhile."""
        try:
            return self.read_linear(va, size)
        except (CpuException, IndexError):
            return b""

    def _deliver_refused(self) -> bool:
        """Deliver what an instruction in the middle of a block raised."""
        self.words[control.REFUSED >> 3] = 0
        self.context.state[:] = self._refused.state
        fault = self._refusal
        lib.uc_context_restore(self.uc, self.context.pointer)
        binding.flush_tlb(self.uc)
        self.words[control.RIP >> 3] = self.context.u64[self.layout.rip >> 3]
        return self.deliver(fault.vector, fault.error_code, cr2=fault.cr2)

    # The hooks: each in the engine's words, see native.asm for its twin.

    def _enter_python(self) -> int:
        words = self.words
        words[control.RESUME_CLOCK >> 3] = words[control.CLOCK >> 3]
        words[control.EXIT >> 3] = 0
        words[control.STOPPED_INSIDE >> 3] = 0
        words[control.BLOCK_SIZE >> 3] = 0
        words[control.ERROR >> 3] = self._start()
        words[control.RIP >> 3] = rip = self._read("rip")
        self._settle(rip)
        words[control.RESUMED_INSIDE >> 3] = words[control.STOPPED_INSIDE >> 3]
        if words[control.EXIT >> 3] == Exit.HOST_CALL:
            words[control.DEADLINE >> 3] = words[control.SAVED_DEADLINE >> 3]
        return Exit.ERROR if words[control.ERROR >> 3] else words[control.EXIT >> 3]

    def _settle(self, rip: int) -> None:
        """A block was left at ``rip``: take back what was not executed."""
        words = self.words
        size = words[control.BLOCK_SIZE >> 3]
        inside = rip - words[control.BLOCK_START >> 3] & _M64
        if inside < size:
            words[control.CLOCK >> 3] -= size - inside
        words[control.BLOCK_SIZE >> 3] = 0
        words[control.ACCESSES >> 3] = 0

    def _on_block(self, _uc: int, address: int, size: int, _data: int) -> None:
        words = self.words
        clock = words[control.CLOCK >> 3]
        if (words[control.BLOCK_START >> 3] ^ address) >> 63 and words[control.RING0_TIMES >> 3]:
            self._other_half(clock, bool(address >> 63))
        if clock < words[control.DEADLINE >> 3] or not self._stops_here(clock, address):
            words[control.BLOCK_START >> 3] = address
            words[control.BLOCK_SIZE >> 3] = size
            words[control.CLOCK >> 3] = clock + size
            return
        words[control.BLOCK_START >> 3] = address
        words[control.BLOCK_SIZE >> 3] = 0
        self.stop(Exit(words[control.EXIT >> 3]) or Exit.TIMER)

    def _other_half(self, clock: int, kernel: bool) -> None:
        """Execution is where the kernel runs, or where it does not, as it was not before."""
        u64 = self.ram.u64
        times = self.words[control.RING0_TIMES >> 3] - self.ram.address >> 3
        since, total = times + (control.RING0_SINCE >> 3), times + (control.RING0_TIME >> 3)
        if kernel == bool(u64[since]):
            return  # after a state was restored
        if not kernel:
            u64[total] += clock - u64[since]
        u64[since] = clock if kernel else 0

    def _stops_here(self, clock: int, address: int) -> bool:
        words = self.words
        if words[control.EXIT >> 3] == Exit.HOST_CALL:
            return True
        if clock == words[control.RESUME_CLOCK >> 3]:
            inside = bool(words[control.RESUMED_INSIDE >> 3])
        else:
            end = words[control.BLOCK_START >> 3] + words[control.BLOCK_SIZE >> 3]
            inside = end & _M64 == address
        slice_end = words[control.SLICE_END >> 3]
        if slice_end:
            if words[control.WAIT_IF >> 3] and (clock < slice_end or inside):
                if not self.interruptible():
                    words[control.IF_CLOSED >> 3] = 1
                    return False
                inside = inside and not words[control.IF_CLOSED >> 3]
            if inside:
                return False
        words[control.STOPPED_INSIDE >> 3] = inside
        return True

    def _on_intr(self, _uc: int, vector: int, _data: int) -> None:
        if self.words[control.REFUSED >> 3]:
            return
        if vector > 255:
            raise EngineError(f"the engine raised its own exception {vector:#x}")
        lib.uc_context_save(self.uc, self.context.pointer)
        context, lay = self.context, self.layout
        self._settle(context.u64[lay.rip >> 3])
        software, error = bool(context.i32[lay.exception_is_int >> 2]), context.i32[
            lay.error_code >> 2]
        if vector == Vector.GP and not error and not software and self._is_stack_fault():
            vector = Vector.SS
        self._deliver(vector, error, software=software)
        lib.uc_context_restore(self.uc, context.pointer)

    def _is_stack_fault(self) -> bool:
        """Tell whether the instruction at RIP uses a stack address that is not canonical.

        The processor answers that with #SS(0), the engine with #GP(0).  See: Intel SDM vol. 3A,
        "Interrupt 12—Stack Fault Exception (#SS)".
        """
        rip = self.context.u64[self.layout.rip >> 3]
        code = self.code(rip, 1) and self.code(rip, min(15, -rip % PAGE_SIZE or 15))
        instructions = block.decode(code, rip)
        if not instructions or instructions[0].address != rip:
            return False
        operands = [o for o in instructions[0].operands
                    if o.segment == "ss" or (not o.segment and o.base in ("rsp", "rbp"))]
        addresses = [self._linear(operand) for operand in operands]
        if instructions[0].stack:
            rsp = self.context.u64[(self.layout.regs >> 3) + RSP]
            addresses += [rsp, rsp - 8]
        return not all(is_canonical(address & _M64) for address in addresses)

    def _on_invalid(self, uc: int, data: int) -> bool:
        """#UD, or what the processor does where the engine knows only #UD."""
        if self.words[control.REFUSED >> 3]:
            return True
        lib.uc_context_save(self.uc, self.context.pointer)
        context, lay = self.context, self.layout
        rip = context.u64[lay.rip >> 3]
        if context.i32[lay.exception_is_int >> 2]:  # INT 6, whose RIP the engine has not moved on
            context.u64[lay.rip >> 3] = context.u64[lay.exception_next_eip >> 3]
            lib.uc_context_restore(self.uc, context.pointer)
            self._on_intr(uc, Vector.UD, data)
            return True
        if self.words[control.ABORTED >> 3]:
            self._after_abort(context)
            return True
        vector = Vector.UD
        code = self.code(rip, 1) and self.code(rip, min(15, -rip % PAGE_SIZE or 15))
        opcode = code.lstrip(_PREFIXES)
        if opcode and opcode[0] & 0xF0 == 0x40:
            opcode = opcode[1:]
        if opcode.startswith(_INT1):
            vector = Vector.DB  # a trap: RIP is behind it
            rip += len(code) - len(opcode) + 1
            context.u64[lay.rip >> 3] = rip
        elif opcode.startswith(_RDPMC):
            vector = Vector.GP  # there are no counters to choose from
        self._settle(rip)
        self._deliver(vector, 0)
        lib.uc_context_restore(self.uc, context.pointer)
        return True

    def _after_abort(self, context: Context) -> None:
        """The engine could not translate the block at RIP: find out which instruction it is.

        With interrupts inhibited the engine makes a block of one instruction.  So the instructions
        before are executed one by one, until the one that cannot be is alone.
        """
        lay, words = context.layout, self.words
        words[control.ABORTED >> 3] = 0
        words[control.BLOCK_SIZE >> 3] = 0  # the block before has ended, this one not begun
        if context.u32[lay.hflags >> 2] & HF_INHIBIT_IRQ:
            self._deliver(Vector.UD, 0)
        else:
            context.u32[lay.hflags >> 2] |= HF_INHIBIT_IRQ
        lib.uc_context_restore(self.uc, context.pointer)

    def _on_syscall(self, _uc: int, _data: int) -> None:
        words = self.words
        if words[control.REFUSED >> 3]:
            return
        lib.uc_context_save(self.uc, self.context.pointer)
        context, lay = self.context, self.layout
        rip = context.u64[lay.rip >> 3]
        # It ends its block.  Prefixes count: the engine adds the length to what is loaded here,
        # so were it taken for 2, ring 3 could choose where in the kernel to arrive.
        end = words[control.BLOCK_START >> 3] + words[control.BLOCK_SIZE >> 3]
        length = end - context.u64[(lay.segment("cs") + 8) >> 3] - rip
        try:
            self._reference.syscall(rip + length, self._read("rflags"))
            words[control.NR_SYSCALLS >> 3] += 1
        except CpuException as fault:
            self._settle(rip)
            self._deliver(fault.vector, fault.error_code)
        context.u64[lay.rip >> 3] = context.u64[lay.rip >> 3] - length & _M64
        lib.uc_context_restore(self.uc, context.pointer)

    def _on_sysenter(self, _uc: int, _data: int) -> None:
        """SYSENTER is not provided: #UD, as on AMD processors in long mode."""
        words = self.words
        if words[control.REFUSED >> 3]:
            return
        lib.uc_context_save(self.uc, self.context.pointer)
        # The engine's RIP is the block's start; the instruction is the block's last.
        start, size = words[control.BLOCK_START >> 3], words[control.BLOCK_SIZE >> 3]
        place = block.instruction_before(self.code(start, size), start)
        self._refuse(CpuException(Vector.UD), start + size - 2 if place is None else place)

    def _on_out(self, _uc: int, port: int, size: int, value: int, _data: int) -> None:
        if port == HOST_CALL_PORT and not self._read("cs") & 3:
            words = self.words
            words[control.EXIT_VALUE >> 3] = value
            words[control.EXIT >> 3] = Exit.HOST_CALL
            words[control.SAVED_DEADLINE >> 3] = words[control.DEADLINE >> 3]
            words[control.DEADLINE >> 3] = 0
            return
        with self._port_access(port, size) as allowed:
            if allowed:
                self.ports.write(port, size, value)

    def _on_in(self, _uc: int, port: int, size: int, _data: int) -> int:
        with self._port_access(port, size) as allowed:
            return self.ports.read(port, size) if allowed else 0

    @contextmanager
    def _port_access(self, port: int, size: int) -> Iterator[bool]:
        """Check the ring's right to a port; if it has none, end the run for #GP."""
        if self.words[control.REFUSED >> 3]:
            yield False
            return
        self._begin_access()
        number = self._port_accesses
        self._port_accesses += 1
        self._accessing = lambda: self._running_block().port(number)
        try:
            yield self._port_allowed(port, size)
        finally:
            self._accessing = None

    def _port_allowed(self, port: int, size: int) -> bool:
        lib.uc_context_save(self.uc, self.context.pointer)
        try:
            if self._reference.port_allowed(port, size, self._read("rflags")):
                return True
            refusal = CpuException(Vector.GP, 0)
        except CpuException as fault:
            refusal = fault
        assert self._accessing is not None
        self._refuse(refusal, self._accessing())
        return False

    def _refuse(self, fault: CpuException, rip: int) -> None:
        """End the run at ``rip``, in the running block, as if the instruction had not begun.

        The engine goes on to the end of the block.  What that does to registers is undone with the
        saved context; memory it cannot touch, because there is none: CR3 leads nowhere, and
        exceptions are ignored until the run ends.
        """
        context, lay = self.context, self.layout
        self._refusal = fault
        context.u64[lay.rip >> 3] = rip
        self._refused.state[:] = context.state
        self._settle(rip)
        self.words[control.REFUSED >> 3] = 1
        context.u64[(lay.cr >> 3) + 3] = NOWHERE
        lib.uc_context_restore(self.uc, context.pointer)
        binding.flush_tlb(self.uc)
        self.stop(Exit.PORT)

    def _begin_access(self) -> None:
        """A port or device hook: forget what an earlier block, or execution of it, accessed."""
        words = self.words
        clock = words[control.CLOCK >> 3]
        if words[control.ACCESSES >> 3] != clock:
            words[control.ACCESSES >> 3] = clock
            self._port_accesses = 0
            self._running = None

    def _running_block(self) -> block.Block:
        """Return the block that is running, decoded."""
        if self._running is None:
            start = self.words[control.BLOCK_START >> 3]
            self._running = block.Block(
                start, self.code(start, self.words[control.BLOCK_SIZE >> 3]))
        return self._running

    def _on_load(self, _uc: int, offset: int, size: int, _data: int) -> int:
        pa = self.ram.size + offset
        if self.words[control.REFUSED >> 3]:
            return (1 << 8 * size) - 1
        access = self._device_access("load", pa, size)
        if access is None or access.size != 8 or access.pa % 8 or size != 4:
            return int(self._at(access, lambda: self.mmio.read(pa, size)))
        # The engine makes two accesses of one of 8 bytes, the low half first.
        if pa % 8 == 0:
            value = self._at(access, lambda: self.mmio.read(pa, 8))
            self._half = pa, value >> 32
            return int(value & 0xFFFF_FFFF)
        half, self._half = self._half, None
        return int(half[1]) if half is not None and half[0] + 4 == pa else (1 << 32) - 1

    def _on_store(self, _uc: int, offset: int, size: int, value: int, _data: int) -> None:
        pa = self.ram.size + offset
        if self.words[control.REFUSED >> 3]:
            return
        access = self._device_access("store", pa, size)
        if access is None or access.size != 8 or access.pa % 8 or size != 4:
            self._at(access, lambda: self.mmio.write(pa, size, value))
        elif pa % 8 == 0:
            self._half = pa, value & 0xFFFF_FFFF
        else:
            half, self._half = self._half, None
            low = half[1] if half is not None and half[0] + 4 == pa else 0
            self._at(access, lambda: self.mmio.write(pa - 4, 8, value << 32 | low))

    def _device_access(self, kind: block.Kind, pa: int, size: int) -> block.Access | None:
        """Find which of the running block's instructions makes a device's load or store."""
        if not self.words[control.BLOCK_SIZE >> 3]:
            return None  # a page walk for a fetch
        self._begin_access()
        lib.uc_context_save(self.uc, self.context.pointer)
        if not self.context.u32[self.layout.hflags >> 2] & HF_CS64:
            return None
        return self._running_block().memory(kind, pa, size, self._resolve)

    def _linear(self, operand: block.Operand) -> int:
        """Return an operand's linear address by the saved context."""
        context, lay = self.context, self.layout

        def register(name: str) -> int:
            if name in GENERAL:
                return int(context.u64[(lay.regs >> 3) + GENERAL.index(name)])
            wide = "r" + name[1:] if name[0] == "e" else name[:-1]  # ebx, r8d: address size 32
            return register(wide) & 0xFFFF_FFFF if wide in GENERAL else 0

        va = operand.displacement + (register(operand.base) if operand.base else 0)
        va += register(operand.index_register) * operand.scale if operand.index_register else 0
        if operand.segment in ("fs", "gs"):
            va += context.u64[(lay.segment(operand.segment) + 8) >> 3]
        return va & _M64

    def _resolve(self, operand: block.Operand) -> int | None:
        """Return an operand's physical address by the saved context."""
        context, lay = self.context, self.layout
        va = self._linear(operand)
        try:
            if not context.u64[lay.cr >> 3] >> 31 & 1:
                return va
            return mmu.translate(self.ram, context.u64[(lay.cr >> 3) + 3], va, mmu.Access.READ,
                                 user=False, set_ad=False)
        except CpuException:
            return None

    def _at(self, access: block.Access | None, action: Callable[[], Any]) -> Any:
        """Do a device's work at the time of an access."""
        rip = self.words[control.BLOCK_START >> 3] if access is None else access.rip
        self._accessing = lambda: rip
        try:
            return action()
        finally:
            self._accessing = None

    def _on_rdtsc(self, _uc: int, _data: int) -> int:
        clock = self.now()
        self.write_register("rax", clock & 0xFFFF_FFFF)
        self.write_register("rdx", clock >> 32)
        return 1

    def _on_rdtscp(self, uc: int, data: int) -> int:
        self.write_register("rcx", self.read_msr(MSR.IA32_TSC_AUX) & 0xFFFF_FFFF)
        return self._on_rdtsc(uc, data)


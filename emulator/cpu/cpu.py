"""The CPU: the engine with its missing microcode, run until an exit.

Unicorn executes instructions, walks page tables and honours privilege.  It does not deliver
exceptions, perform SYSCALL, check port privilege or keep time; hooks do that here, in one of two
ways that must not differ: ``native`` (``native.asm``, 0.25 µs a transition) or ``python``
(``microcode.py``, the reference, 3.5 µs).

Facts of the engine that shape this file, each held by ``tests/unit/test_unicorn_contract.py``:

- ``until`` of ``uc_emu_start`` ends runs silently and its probe leaves a wrong pending exception
  behind, so exits are enabled and none is set.
- ``uc_emu_stop`` from a block hook ends the run before the block; from a port hook, at the end of
  the block that holds the instruction.  So code puts a jump behind a host call, and a refused port
  access takes away the address space from what follows it: see :meth:`Cpu._refuse`.
- RIP is exact inside RDTSC and exception hooks, but inside a port hook it is the block's; see
  :meth:`Cpu._port_rip`.
- ``old_exception`` must be reset after each delivery: see :class:`Microcode`.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_uint64, c_void_p
from typing import Any, Final, Literal, Protocol

from emulator.arch.exceptions import CpuException, Vector
from emulator.arch.registers import MSR, RFLAGS
from emulator.cpu import binding, control, mmu
from emulator.cpu.binding import REGISTERS, EngineError, check, lib
from emulator.cpu.context import Context, measure, uc_x86_msr
from emulator.cpu.control import Exit
from emulator.cpu.microcode import HF_CPL, HF_INHIBIT_IRQ, Microcode, Shutdown
from emulator.cpu.native import NativeMicrocode, supported
from emulator.memory import Ram

HOST_CALL_PORT: Final = 0xF0
HLT: Final = 0xF4
EMPTY_TABLE: Final = 0xFEE0_0000  # physical address of a page of zeros that is no RAM
_PORT_INSTRUCTIONS: Final = frozenset(
    {"in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd"})

MicrocodeKind = Literal["native", "python"]


class PortBus(Protocol):
    """What IN and OUT reach."""

    def read(self, port: int, size: int) -> int: ...
    def write(self, port: int, size: int, value: int) -> None: ...


class MmioBus(Protocol):
    """What loads and stores to device addresses reach."""

    def read(self, pa: int, size: int) -> int: ...
    def write(self, pa: int, size: int, value: int) -> None: ...


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
        microcode: ``"native"``, ``"python"``, or ``None`` for native where the host can.

    Attributes:
        words: the control block, see :mod:`emulator.cpu.control`; an index is the offset >> 3.
        microcode: which one is in use.
        regs: the registers.
    """

    def __init__(self, ram: Ram, ports: PortBus, *, microcode: MicrocodeKind | None = None) -> None:
        self.ram = ram
        self.ports = ports
        if microcode is None:
            microcode = "native" if supported() else "python"
        self.microcode = microcode
        self.uc = binding.open_engine()
        check(lib.uc_mem_map_ptr(self.uc, 0, ram.size, binding.UC_PROT_ALL, ram.address), "map RAM")
        self._empty_table = mmap.mmap(-1, mmap.PAGESIZE)
        empty = ctypes.addressof(ctypes.c_char.from_buffer(self._empty_table))
        check(lib.uc_mem_map_ptr(self.uc, EMPTY_TABLE, mmap.PAGESIZE, binding.UC_PROT_ALL, empty),
              "map the empty table")
        self.layout = measure(self.uc)
        self._context = Context(self.uc, self.layout)
        self._refused = Context(self.uc, self.layout)
        self._reference = Microcode(ram, self._context)
        self._block = mmap.mmap(-1, control.SIZE)
        self.words = memoryview(self._block).cast("Q")
        self._block_address = ctypes.addressof(ctypes.c_char.from_buffer(self._block))
        self._word = c_uint64()
        self._word_pointer = ctypes.byref(self._word)
        self._raised: BaseException | None = None
        self._in_port = False
        self._port_accesses = (0, 0)  # clock of a block, and the port accesses it has made
        self.regs = Registers(self)
        self._fill_control_block()
        self._hook()

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
        self._enter()
        words = self.words
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        reason = words[control.EXIT >> 3]
        if words[control.ERROR >> 3] & 0xFFFF_FFFF:
            check(words[control.ERROR >> 3] & 0xFFFF_FFFF, f"emulation at {self.rip:#x}")
        if reason == Exit.HOST_CALL:
            return Exit.HOST_CALL
        if reason == Exit.PORT:
            return Exit.PORT if self._deliver_refused() else Exit.SHUTDOWN
        if reason == Exit.NONE:
            return self._halted()
        return Exit(reason)

    def _halted(self) -> Exit:
        """Nobody has said why the run ended: it was HLT, or the engine has lost an exception."""
        try:
            if self.read_linear(self.rip - 1, 1)[0] == HLT:
                return Exit.HALT
        except (CpuException, IndexError):
            pass
        with self._saved() as context:
            pending = context.i32[self.layout.old_exception >> 2]
        raise EngineError(f"the engine stopped at {self.rip:#x} without a reason; "
                          f"its pending exception is {pending}")

    @property
    def rip(self) -> int:
        """Where the next run begins."""
        return self.words[control.RIP >> 3]

    @property
    def clock(self) -> int:
        """Code bytes retired plus idle time skipped: virtual nanoseconds."""
        return self.words[control.CLOCK >> 3]

    def now(self) -> int:
        """The clock at this instruction, also from inside a device's port access."""
        words = self.words
        clock = words[control.CLOCK >> 3]
        size = words[control.BLOCK_SIZE >> 3]
        if size:
            rip = self._port_rip() if self._in_port else self._read("rip")
            left = words[control.BLOCK_START >> 3] + size - rip
            if 0 < left <= size:
                clock -= left
        return clock

    def stop(self, reason: Exit) -> None:
        """End the current run; for use inside a hook or a device."""
        self.words[control.EXIT >> 3] = reason
        lib.uc_emu_stop(self.uc)

    def interruptible(self) -> bool:
        """Tell whether a maskable interrupt would be taken now."""
        with self._saved() as context:
            return bool(
                context.u64[self.layout.eflags >> 3] & RFLAGS.IF
                and not context.u32[self.layout.hflags >> 2] & HF_INHIBIT_IRQ
            )

    def deliver(self, vector: int, error_code: int = 0, *, external: bool = False,
                software: bool = False, cr2: int | None = None) -> bool:
        """Deliver an interrupt or exception at RIP, between two runs.

        Returns:
            False if the machine has shut down (a triple fault).
        """
        lib.uc_context_save(self.uc, self._context.pointer)
        context, lay = self._context, self.layout
        context.u64[lay.rip >> 3] = self.rip
        if cr2 is not None:
            context.u64[(lay.cr >> 3) + 2] = cr2
        alive = self._deliver(vector, error_code, software=software, external=external)
        lib.uc_context_restore(self.uc, context.pointer)
        self.words[control.RIP >> 3] = context.u64[lay.rip >> 3]
        return alive

    # Registers

    def read_register(self, name: str) -> int:
        """Return a register's value."""
        return self.rip if name == "rip" else self._read(name)

    def write_register(self, name: str, value: int) -> None:
        """Set a register; a segment's selector alone, without loading the segment."""
        if name == "rip":
            self.words[control.RIP >> 3] = value
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

    def save_state(self) -> bytes:
        """Return the complete register state; opaque, for this engine version only."""
        with self._saved() as context:
            context.u64[self.layout.rip >> 3] = self.rip
            return bytes(context.u8)

    def restore_state(self, state: bytes) -> None:
        """Load what :meth:`save_state` returned; translations and the TLB are dropped."""
        self._context.u8[:] = state
        lib.uc_context_restore(self.uc, self._context.pointer)
        self.words[control.RIP >> 3] = self._context.u64[self.layout.rip >> 3]
        binding.flush_tlb(self.uc)
        binding.flush_tb(self.uc)

    @contextmanager
    def edit(self) -> Iterator[Context]:
        """Change the whole register state: a saved context that is loaded again at the end."""
        with self._saved() as context:
            context.u64[self.layout.rip >> 3] = self.rip
            yield context
            lib.uc_context_restore(self.uc, context.pointer)
            self.words[control.RIP >> 3] = context.u64[self.layout.rip >> 3]

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

    def flush_translations(self) -> None:
        """Forget translated code: some frame that held code has new content."""
        binding.flush_tb(self.uc)

    def flush_tlb(self) -> None:
        """Forget address translations, as if CR3 and CR4.PGE had been rewritten."""
        binding.flush_tlb(self.uc)

    def map_mmio(self, base: int, size: int, bus: MmioBus) -> None:
        """Route loads and stores of physical [base, base + size) to ``bus``."""
        def read(_uc: int, offset: int, width: int, _data: int) -> int:
            return self._guard(lambda: bus.read(base + offset, width), 0)

        def write(_uc: int, offset: int, width: int, value: int, _data: int) -> None:
            self._guard(lambda: bus.write(base + offset, width, value), None)

        callbacks = binding.MMIO_READ(read), binding.MMIO_WRITE(write)
        self._callbacks += callbacks
        check(lib.uc_mmio_map(self.uc, base, size, callbacks[0], None, callbacks[1], None),
              f"map device at {base:#x}")

    # The inside

    def _fill_control_block(self) -> None:
        def function(name: str) -> int:
            address = ctypes.cast(getattr(lib, name), c_void_p).value
            assert address is not None
            return address

        words = self.words
        for offset, value in {
            control.DEADLINE: (1 << 64) - 1, control.SLICE_END: (1 << 64) - 1,
            control.ENGINE: self.uc.value, control.CONTEXT: self._context.pointer.value,
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

    def _hook(self) -> None:
        """Install the hooks; Python's are always made, the native ones fall back on them."""
        python: dict[str, Any] = {
            "on_block": binding.BLOCK_HOOK(self._on_block),
            "on_intr": binding.INTR_HOOK(self._on_intr),
            "on_invalid": binding.INVALID_HOOK(self._on_invalid),
            "on_syscall": binding.SYSCALL_HOOK(self._on_syscall),
            "on_sysenter": binding.SYSCALL_HOOK(self._on_sysenter),
            "on_out": binding.OUT_HOOK(self._on_out),
            "on_in": binding.IN_HOOK(self._on_in),
            "on_rdtsc": binding.HANDLED_HOOK(self._on_rdtsc),
            "on_rdtscp": binding.HANDLED_HOOK(self._on_rdtscp),
        }
        self._callbacks: list[object] = list(python.values())
        hooks: dict[str, object] = dict(python)
        self._enter: Callable[[], object] = self._enter_python
        if self.microcode == "native":
            native = NativeMicrocode(self.layout, HOST_CALL_PORT)
            self._callbacks.append(native)
            hooks.update({n: a for n, a in native.entry.items() if n in hooks})
            self.words[control.SLOW_INTR >> 3] = _address(python["on_intr"])
            self.words[control.SLOW_SYSCALL >> 3] = _address(python["on_syscall"])
            self.words[control.SLOW_OUT >> 3] = _address(python["on_out"])
            enter = ctypes.CFUNCTYPE(None, c_void_p)(native.entry["run"])
            block = c_void_p(self._block_address)
            self._enter = lambda: enter(block)
        instructions = {
            "on_syscall": binding.UC_X86_INS_SYSCALL, "on_sysenter": binding.UC_X86_INS_SYSENTER,
            "on_out": binding.UC_X86_INS_OUT, "on_in": binding.UC_X86_INS_IN,
            "on_rdtsc": binding.UC_X86_INS_RDTSC, "on_rdtscp": binding.UC_X86_INS_RDTSCP,
        }
        kinds = {"on_block": binding.UC_HOOK_BLOCK, "on_intr": binding.UC_HOOK_INTR,
                 "on_invalid": binding.UC_HOOK_INSN_INVALID}
        for name, callback in hooks.items():
            binding.hook_add(self.uc, kinds.get(name, binding.UC_HOOK_INSN), callback,
                             self._block_address, instructions.get(name))

    @contextmanager
    def _saved(self) -> Iterator[Context]:
        lib.uc_context_save(self.uc, self._context.pointer)
        yield self._context

    def _read(self, name: str) -> int:
        self._word.value = 0
        lib.uc_reg_read(self.uc, REGISTERS[name], self._word_pointer)
        return self._word.value

    def _deliver(self, vector: int, error_code: int, *, software: bool = False,
                 external: bool = False) -> bool:
        """Deliver on the saved context; on a triple fault, stop the machine."""
        context, lay = self._context, self.layout
        try:
            self._reference.deliver(vector, error_code, context.u64[lay.rip >> 3],
                                    self._read("rflags"), software=software, external=external)
        except Shutdown:
            context.i32[lay.old_exception >> 2] = -1
            self.stop(Exit.SHUTDOWN)
            return False
        self.words[(control.TRAPS >> 3) + vector] += 1
        return True

    def _deliver_refused(self) -> bool:
        """Deliver what a port access raised."""
        self.words[control.REFUSED >> 3] = 0
        self._context.u8[:] = self._refused.u8
        fault = self._refusal
        lib.uc_context_restore(self.uc, self._context.pointer)
        binding.flush_tlb(self.uc)
        self.words[control.RIP >> 3] = self._context.u64[self.layout.rip >> 3]
        return self.deliver(fault.vector, fault.error_code, cr2=fault.cr2)

    def _guard(self, action: Callable[[], Any], otherwise: Any) -> Any:
        """Do a device's work inside a hook; an exception ends the run and comes out of it."""
        try:
            return action()
        except BaseException as error:
            self._raised = error
            self.stop(Exit.ERROR)
            return otherwise

    # The hooks: each in the engine's words, see native.asm for its twin.

    def _enter_python(self) -> None:
        words = self.words
        words[control.RESUME_CLOCK >> 3] = words[control.CLOCK >> 3]
        words[control.EXIT >> 3] = 0
        words[control.BLOCK_SIZE >> 3] = 0
        words[control.ERROR >> 3] = lib.uc_emu_start(self.uc, words[control.RIP >> 3], 0, 0, 0)
        words[control.RIP >> 3] = rip = self._read("rip")
        self._settle(rip)

    def _settle(self, rip: int) -> None:
        """A block was left at ``rip``: take back what was not executed."""
        words = self.words
        start, size = words[control.BLOCK_START >> 3], words[control.BLOCK_SIZE >> 3]
        if start <= rip < start + size:
            words[control.CLOCK >> 3] -= start + size - rip
        words[control.BLOCK_SIZE >> 3] = 0

    def _on_block(self, _uc: int, address: int, size: int, _data: int) -> None:
        words = self.words
        words[control.BLOCK_START >> 3] = address
        words[control.BLOCK_SIZE >> 3] = size
        clock = words[control.CLOCK >> 3]
        if clock < words[control.DEADLINE >> 3] or not self._stops_here(clock):
            words[control.CLOCK >> 3] = clock + size
            return
        words[control.BLOCK_SIZE >> 3] = 0
        self.stop(Exit.TIMER)

    def _stops_here(self, clock: int) -> bool:
        words = self.words
        if words[control.RESUMED_INSIDE >> 3] and clock == words[control.RESUME_CLOCK >> 3]:
            return False
        if not words[control.WAIT_IF >> 3] or clock >= words[control.SLICE_END >> 3]:
            return True
        return self.interruptible()

    def _on_intr(self, _uc: int, vector: int, _data: int) -> None:
        if self.words[control.REFUSED >> 3]:
            return
        lib.uc_context_save(self.uc, self._context.pointer)
        context, lay = self._context, self.layout
        self._settle(context.u64[lay.rip >> 3])
        self._deliver(vector, context.i32[lay.error_code >> 2],
                      software=bool(context.i32[lay.exception_is_int >> 2]))
        lib.uc_context_restore(self.uc, context.pointer)

    def _on_invalid(self, uc: int, data: int) -> bool:
        self._on_intr(uc, Vector.UD, data)
        return True

    def _on_syscall(self, _uc: int, _data: int) -> None:
        if self.words[control.REFUSED >> 3]:
            return
        lib.uc_context_save(self.uc, self._context.pointer)
        context, lay = self._context, self.layout
        try:
            self._reference.syscall(context.u64[lay.rip >> 3], self._read("rflags"))
            self.words[control.NR_SYSCALLS >> 3] += 1
        except CpuException as fault:
            self._settle(context.u64[lay.rip >> 3])
            self._deliver(fault.vector, fault.error_code)
        context.u64[lay.rip >> 3] -= 2  # the engine adds the instruction's length
        lib.uc_context_restore(self.uc, context.pointer)

    def _on_sysenter(self, _uc: int, _data: int) -> None:
        """SYSENTER is not provided: #UD, as on AMD processors in long mode."""
        if self.words[control.REFUSED >> 3]:
            return
        lib.uc_context_save(self.uc, self._context.pointer)
        context, lay = self._context, self.layout
        self._settle(context.u64[lay.rip >> 3])
        self._deliver(Vector.UD, 0)
        context.u64[lay.rip >> 3] -= 2
        lib.uc_context_restore(self.uc, context.pointer)

    def _on_out(self, _uc: int, port: int, size: int, value: int, _data: int) -> None:
        if port == HOST_CALL_PORT and not self._read("cs") & 3:
            self.words[control.EXIT_VALUE >> 3] = value
            self.stop(Exit.HOST_CALL)
        elif self._port_allowed(port, size):
            self._guard(lambda: self.ports.write(port, size, value), None)
        self._in_port = False

    def _on_in(self, _uc: int, port: int, size: int, _data: int) -> int:
        answer = 0
        if self._port_allowed(port, size):
            answer = self._guard(lambda: self.ports.read(port, size), 0)
        self._in_port = False
        return answer

    def _port_allowed(self, port: int, size: int) -> bool:
        """Check the ring's right to a port; if it has none, end the run for #GP."""
        if self.words[control.REFUSED >> 3]:
            return False
        self._in_port = True
        clock, count = self._port_accesses
        now = self.words[control.CLOCK >> 3]
        self._port_accesses = (now, count + 1 if clock == now else 1)
        lib.uc_context_save(self.uc, self._context.pointer)
        try:
            if self._reference.port_allowed(port, size, self._read("rflags")):
                return True
            self._refusal = CpuException(Vector.GP, 0)
        except CpuException as fault:
            self._refusal = fault
        self._refuse()
        return False

    def _refuse(self) -> None:
        """End the run at the port instruction that is running, as if it had not begun.

        The engine goes on to the end of the block.  What that does to registers is undone with the
        saved context; memory it cannot touch, because there is none: CR3 is that of an empty
        table, and exceptions are ignored until the run ends.
        """
        context, lay = self._context, self.layout
        rip = self._port_rip()
        context.u64[lay.rip >> 3] = rip
        self._refused.u8[:] = context.u8
        self._settle(rip)
        self.words[control.REFUSED >> 3] = 1
        context.u64[(lay.cr >> 3) + 3] = EMPTY_TABLE
        lib.uc_context_restore(self.uc, context.pointer)
        binding.flush_tlb(self.uc)
        self.stop(Exit.PORT)

    def _port_rip(self) -> int:
        """Find the instruction whose port hook is running.

        The engine has not brought RIP up to date.  Of the block's port instructions it is the one
        after those that have been seen since the block began; the clock tells blocks apart.
        """
        import capstone

        decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        start = self.words[control.BLOCK_START >> 3]
        code = self.read_linear(start, self.words[control.BLOCK_SIZE >> 3])
        places = [address for address, _, mnemonic, _ in decoder.disasm_lite(code, start)
                  if mnemonic.split()[-1] in _PORT_INSTRUCTIONS]
        return int(places[self._port_accesses[1] - 1])

    def _on_rdtsc(self, _uc: int, _data: int) -> int:
        clock = self.now()
        self.write_register("rax", clock & 0xFFFF_FFFF)
        self.write_register("rdx", clock >> 32)
        return 1

    def _on_rdtscp(self, uc: int, data: int) -> int:
        self.write_register("rcx", self.read_msr(MSR.IA32_TSC_AUX) & 0xFFFF_FFFF)
        return self._on_rdtsc(uc, data)


def _address(callback: object) -> int:
    value = ctypes.cast(callback, c_void_p).value  # type: ignore[arg-type]  # a CFUNCTYPE object
    assert value is not None
    return value

"""The machine: one CPU, RAM and devices put together, and the loop that runs them.

It boots any ring-0 image and knows no kernel.  A kernel's hosted half attaches to the host-call
port: ``machine.host_call``; a front end gives and takes console bytes through ``machine.uart`` and
may offer input when nothing can run: ``machine.idle``.

Time is the CPU's clock, in virtual nanoseconds.  When the CPU halts, the clock jumps to the next
timer, so waiting costs nothing; and no device reads any other clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Self

from emulator.cpu import control
from emulator.cpu.control import Activity, Exit
from emulator.cpu.cpu import Cpu, MicrocodeKind
from emulator.devices.bus import Mmio, Ports
from emulator.devices.cmos import Cmos
from emulator.devices.debug_exit import DebugExit
from emulator.devices.device import Device
from emulator.devices.hpet import Hpet
from emulator.devices.pic import Pic
from emulator.devices.uart import Uart
from emulator.memory import Ram, fingerprint
from emulator.snapshot import Snapshot, SnapshotError

MIB: Final = 1 << 20
DEFAULT_MEM: Final = 256 * MIB
MAX_MEM: Final = 3584 * MIB
DEFAULT_EPOCH: Final = 1_700_000_000  # 2023-11-14 22:13:20 UTC, when the clock is 0


# So long at most does the engine run before Python looks at signals: about 0.1 s.
SLICE: Final = 100_000_000
_EXIT_VALUE: Final = control.EXIT_VALUE >> 3
NEVER: Final = (1 << 64) - 1


class Machine:
    """An x86-64 machine.

    Args:
        mem: bytes of RAM, a multiple of 4096, at most :data:`MAX_MEM`.
        microcode: see :class:`Cpu`.
        epoch: seconds since 1970 that the CMOS clock shows at clock 0.
        output: gets what the serial console sends; by default it gathers in ``console``.

    Attributes:
        host_call: called with the number that ring 0 wrote to the host-call port; without it,
            :meth:`run` returns :attr:`Exit.HOST_CALL` instead.
        before_host_call: asked before each of these; if it answers True, the run ends with
            :attr:`Exit.HOST_CALL`, and the next run or step begins with the call.
        idle: called when the CPU halts, before the clock jumps; returns True if it has fed a
            device, so that the CPU may have something to do.
        tick: called about every :data:`SLICE` of the clock, for a front end's own business; it
            may feed a device, at this place of the clock.
        exit_status: what was written to the debug-exit port.
        console: what the console has sent, if nobody takes it.
    """

    def __init__(self, mem: int = DEFAULT_MEM, *, microcode: MicrocodeKind | None = None,
                 epoch: int = DEFAULT_EPOCH,
                 output: Callable[[bytes], None] | None = None) -> None:
        if mem > MAX_MEM:
            raise ValueError(f"RAM size {mem:#x} is more than {MAX_MEM:#x}, where devices begin")
        self.ram = Ram(mem)
        self.ports = Ports()
        self.mmio = Mmio()
        self.cpu = Cpu(self.ram, self, _MmioWindow(self), microcode=microcode)
        self.console = bytearray()
        self.exit_status = 0
        self.host_call: Callable[[int], None] | None = None
        self.before_host_call: Callable[[int], bool] | None = None
        self.idle: Callable[[], bool] | None = None
        self.tick: Callable[[], None] | None = None
        self._words = self.cpu.words
        self._limit = NEVER
        self._slice_end = SLICE
        self._stopping: Exit | None = None
        self._stepping = False

        self.pic = Pic()
        self.hpet = Hpet(self.cpu.now, self.pic.set_irq)
        self.uart = Uart(output or self.console.extend,
                         lambda level: self.pic.set_irq(Uart.COM1_IRQ, level))
        self.cmos = Cmos(self.cpu.now, epoch)
        self.debug_exit = DebugExit(self._debug_exit)
        self.devices: tuple[Device[Any], ...] = (self.pic, self.hpet, self.uart, self.cmos,
                                                 self.debug_exit)
        attachments: list[tuple[range, Device[Any]]] = [
            *((ports, self.pic) for ports in Pic.PORTS), (Cmos.PORTS, self.cmos),
            (range(Uart.COM1, Uart.COM1 + Uart.NR_PORTS), self.uart),
            (DebugExit.PORTS, self.debug_exit),
        ]
        for ports, device in attachments:
            self.ports.attach(ports, device)
        self.mmio.attach(Hpet.BASE, Hpet.SIZE, self.hpet)

    def close(self) -> None:
        """Free the engine; the machine cannot run afterwards."""
        self.cpu.close()
        self.ram.close()

    @property
    def clock(self) -> int:
        """Virtual nanoseconds since the machine was made."""
        return self._words[control.CLOCK >> 3]

    # The buses, as instructions reach them; a hosted kernel uses the same.

    def read(self, port: int, size: int) -> int:
        """IN."""
        value = self.ports.read(port, size)
        self.arm()
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        self.ports.write(port, size, value)
        self.arm()

    def read_string(self, port: int, size: int) -> bytes:
        """REP INSB."""
        data = self.ports.read_string(port, size)
        self.arm()
        return data

    def write_string(self, port: int, data: bytes) -> None:
        """REP OUTSB."""
        self.ports.write_string(port, data)
        self.arm()

    def read_mmio(self, pa: int, size: int) -> int:
        """A load from a device's address."""
        value = self.mmio.read(pa, size)
        self.arm()
        return value

    def write_mmio(self, pa: int, size: int, value: int) -> None:
        """A store to a device's address."""
        self.mmio.write(pa, size, value)
        self.arm()

    def arm(self) -> None:
        """Tell the CPU when to stop next, after a device may have changed its mind."""
        words = self._words
        end = 0 if self._stopping is not None or self._stepping else min(self._slice_end,
                                                                         self._limit)
        words[control.SLICE_END >> 3] = end
        if self.pic.pending:
            if not words[control.WAIT_IF >> 3]:
                words[control.IF_CLOSED >> 3] = not self.cpu.interruptible()
            words[control.DEADLINE >> 3] = 0
            words[control.WAIT_IF >> 3] = 1
        else:
            event = self.hpet.next_event()
            words[control.DEADLINE >> 3] = end if event is None else min(event, end)
            words[control.WAIT_IF >> 3] = 0

    # Running

    def run(self, until: int | None = None) -> Exit:
        """Run until the machine ends or something needs the caller.

        Args:
            until: stop at the first block start at or after this clock.

        Returns:
            DEBUG_EXIT: ``exit_status`` has been set.
            SHUTDOWN: a triple fault.
            HALT: HLT, and nothing can ever wake the CPU.
            TIMER: ``until`` was reached.
            HOST_CALL: no ``host_call`` is attached, or ``before_host_call`` wants it; the number
                is in ``host_call_number``.
            STOPPED, or what else :meth:`stop` was called with.
            BREAKPOINT: one was reached; see ``cpu.stops``.
            WATCHPOINT: something that is watched was accessed; see ``cpu.stops``.
        """
        self._limit = NEVER if until is None else until
        self._slice_end = self.clock + SLICE
        self._stopping = None
        self.cpu.stops.hook_instructions(False)
        self.arm()
        cpu, pic, words = self.cpu, self.pic, self._words
        run, host_call = cpu.run, Exit.HOST_CALL
        if words[control.CALL_PENDING >> 3]:
            self._call()
            if self._stopping is not None:
                return self._stopping
        if words[control.ACTIVITY >> 3] and (end := self._wait()) is not None:
            return end
        while True:
            # A debugger's stop inside a block does not make a place for interrupts.
            if pic.pending and not words[control.RESUMED_INSIDE >> 3] and cpu.interruptible():
                if not cpu.deliver(pic.acknowledge(), external=True):
                    return Exit.SHUTDOWN
                self.arm()
            reason = run()
            if reason is host_call:
                if self.before_host_call is not None and self.before_host_call(
                        words[_EXIT_VALUE]):
                    words[control.CALL_PENDING >> 3] = 1
                    return reason
                if self.host_call is None:
                    return reason
                self.host_call(words[_EXIT_VALUE])
                if self._stopping is not None:
                    return self._stopping
                continue
            end = None
            if reason is Exit.TIMER:
                if self._on_deadline():
                    end = reason
            elif reason is Exit.HALT:
                if self._stopping is None:
                    end = self._wait()
            elif reason is Exit.PORT:
                # Nothing need have been retired: the time may be up all the same.
                if self.clock >= words[control.SLICE_END >> 3] and self._on_deadline():
                    end = Exit.TIMER
            else:
                end = reason
            if self._stopping is not None:
                return self._stopping
            if end is not None:
                return end

    def step(self) -> Exit:
        """Execute one instruction, with the host call that it makes, or deliver one event.

        Steps and runs, in whatever order, come to what one run comes to.

        Returns:
            STEP: that has been done.
            else as :meth:`run`.
        """
        self._limit = NEVER
        self._slice_end = self.clock + SLICE
        self._stopping = None
        self.arm()
        cpu, words = self.cpu, self._words
        if words[control.CALL_PENDING >> 3]:
            self._call()
            return self._stopping or Exit.STEP
        if words[control.ACTIVITY >> 3] and (end := self._wait()) is not None:
            return end
        if not words[control.RESUMED_INSIDE >> 3]:
            self.hpet.tick(self.clock)
            if self.pic.pending and cpu.interruptible():
                delivered = cpu.deliver(self.pic.acknowledge(), external=True)
                self.arm()
                return Exit.STEP if delivered else Exit.SHUTDOWN
            self.arm()
        self._stepping = True
        try:
            reason = cpu.step()
        finally:
            self._stepping = False
        if reason is Exit.HOST_CALL:
            if self.host_call is None:
                return reason
            words[control.CALL_PENDING >> 3] = 1
            if self.before_host_call is not None and self.before_host_call(words[_EXIT_VALUE]):
                return reason
            self._call()
            reason = Exit.STEP
        # If an interrupt that had to wait can be taken now, this is the place for it.
        if self.pic.pending:
            if not cpu.interruptible():
                words[control.IF_CLOSED >> 3] = 1
            elif words[control.IF_CLOSED >> 3]:
                words[control.RESUMED_INSIDE >> 3] = 0
        return self._stopping or reason

    @property
    def is_inside(self) -> bool:
        """Whether the last run or step has ended where no interrupt would be taken: in a block."""
        return bool(self._words[control.RESUMED_INSIDE >> 3])

    def _call(self) -> None:
        """Make the host call that the last run has ended with."""
        self._words[control.CALL_PENDING >> 3] = 0
        if self.host_call is not None:
            self.host_call(self._words[_EXIT_VALUE])

    @property
    def host_call_number(self) -> int:
        """What ring 0 wrote to the host-call port last."""
        return self._words[control.EXIT_VALUE >> 3]

    def stop(self, reason: Exit) -> None:
        """End the run: after the present host call, or at the end of a port access's block."""
        self._stopping = reason
        self.arm()

    def write_code(self, pa: int, code: bytes) -> None:
        """Store code at physical address ``pa``, and forget what was translated from there.

        Raises:
            IndexError: it leaves RAM.
        """
        self.ram.write(pa, code)
        self.cpu.forget_code(pa, len(code))

    # Snapshots

    def snapshot(self, notes: Mapping[str, str] = MappingProxyType({})) -> Snapshot:
        """Return the machine's whole state; only between two runs, or in ``host_call``'s place.

        The second of a machine costs what has changed since the first.  What the console has sent
        is not the machine's any more, and :attr:`console` stays out of it.

        Args:
            notes: kept with it.
        """
        return Snapshot(self.ram.size, self.cpu.engine, self.cpu.save_state(),
                        self.cpu.save_counters(), self._save_devices(), self.ram.keep(),
                        dict(notes))

    def restore(self, snapshot: Snapshot) -> None:
        """Take a state back, of this machine or of another; only between two runs.

        A hosted kernel that has remembered anything of RAM must forget it.

        Raises:
            SnapshotError: it does not fit this machine, which is as it was.
        """
        if snapshot.mem != self.ram.size:
            raise SnapshotError(f"the snapshot is of a machine of {snapshot.mem >> 10} KiB; this "
                                f"one has {self.ram.size >> 10} KiB")
        if snapshot.engine != self.cpu.engine:
            raise SnapshotError(f"the snapshot needs {snapshot.engine}; this is {self.cpu.engine}")
        before = self.cpu.save_state(), self.cpu.save_counters(), self._save_devices()
        try:
            self._load(snapshot.cpu, snapshot.counters, snapshot.devices)
        except (ValueError, TypeError, LookupError) as error:
            self._load(*before)
            raise SnapshotError(f"not the state of such a machine: {error}") from error
        for start, end in self.ram.take_back(snapshot.pages):
            self.cpu.forget_code(start, end - start)

    def _load(self, cpu: bytes, counters: Sequence[int],
              devices: Mapping[str, Mapping[str, Any]]) -> None:
        """Load everything but RAM; on an error, some of it.

        Raises:
            ValueError, TypeError, LookupError: it is not the state of such a machine.
        """
        self.cpu.restore_state(cpu)
        self.cpu.restore_counters(counters)
        if set(devices) != {device.name for device in self.devices}:
            raise ValueError(f"its devices are {', '.join(sorted(devices))}")
        for device in self.devices:
            device.restore(dict(devices[device.name]))

    def _save_devices(self) -> dict[str, dict[str, Any]]:
        return {device.name: device.save() for device in self.devices}

    @classmethod
    def of(cls, snapshot: Snapshot, *, microcode: MicrocodeKind | None = None,
           output: Callable[[bytes], None] | None = None) -> Self:
        """Return a new machine in the state of a snapshot.

        Args:
            microcode, output: as for any new machine.

        Raises:
            SnapshotError: it is of another engine, or not the state of a machine.
        """
        try:
            machine = cls(snapshot.mem, microcode=microcode, output=output)
        except ValueError as error:
            raise SnapshotError(f"not the state of such a machine: {error}") from error
        try:
            machine.restore(snapshot)
        except BaseException:
            machine.close()
            raise
        return machine

    def fork(self, *, output: Callable[[bytes], None] | None = None) -> Self:
        """Return a second machine that goes on from here, by itself; only between two runs.

        A hosted kernel's half is not attached to it.
        """
        return type(self).of(self.snapshot(), microcode=self.cpu.microcode, output=output)

    def fingerprint(self) -> str:
        """Return a digest of RAM: equal for equal runs."""
        return fingerprint(self.ram)

    def _on_deadline(self) -> bool:
        """Let timers fire; tell whether the caller's limit was reached."""
        clock = self.clock
        if clock >= self._slice_end:
            self._slice_end = clock + SLICE
            if self.tick is not None:
                self.tick()
        self.hpet.tick(clock)
        self.arm()
        return clock >= self._limit

    def _wait(self) -> Exit | None:
        """The CPU is not active: jump from timer to timer until an interrupt will wake it.

        Returns:
            None if there is an interrupt to deliver, else how the run ends; the CPU then stays as
            it is, and the next run waits on.
        """
        cpu, words = self.cpu, self._words
        if words[control.ACTIVITY >> 3] == Activity.SHUTDOWN:
            return Exit.SHUTDOWN
        while cpu.interruptible():
            if self.pic.pending:
                words[control.RESUMED_INSIDE >> 3] = 0
                return None
            if self.idle is not None and self.idle():
                self.arm()
                if self._stopping is not None:
                    return self._stopping
                continue
            event = self.hpet.next_event()
            if self.clock >= self._limit:
                return Exit.TIMER
            if event is None:
                break
            self.pass_time(min(event, self._limit))
        return Exit.HALT

    def pass_time(self, until: int) -> None:
        """Let the CPU, which halts, be idle until a place of the clock, and timers fire."""
        words = self._words
        wake = max(self.clock, until)
        words[control.IDLE >> 3] += wake - self.clock
        words[control.CLOCK >> 3] = wake
        self.hpet.tick(wake)
        self.arm()

    def _debug_exit(self, status: int) -> None:
        self.exit_status = status
        self.stop(Exit.DEBUG_EXIT)


class _MmioWindow:
    """A page of device addresses, as the CPU's loads and stores reach it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def read(self, pa: int, size: int) -> int:
        return self._machine.read_mmio(pa, size)

    def write(self, pa: int, size: int, value: int) -> None:
        self._machine.write_mmio(pa, size, value)

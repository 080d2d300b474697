"""The MC146818 real-time clock and its 114 bytes of battery-backed memory.

An index is written to port 0x70, the register it names is at port 0x71.  Registers 0 to 9 are the
time of day, worked out from the machine's virtual clock and an *epoch*: the wall-clock time, in
seconds since 1970-01-01 UTC, at which the virtual clock was 0.  The host's clock has no part in it.
When the guest sets the time it moves the epoch, so the epoch is part of the state.

Offers BCD and binary data, 12 and 24 hours, the SET bit, UIP, and UF.  Years have two digits, as
the chip's have: 70 to 99 are 19xx, the rest 20xx.  A field that is out of its range carries into
the next.  Raises :class:`UnsupportedError` for the alarm, periodic and update interrupts and for
daylight saving; accordingly the alarm bytes are only kept, and AF and PF are never set.  The
divider and the square wave are bits without effect.

See: Motorola MC146818 data sheet, "Time, Calendar, and Alarm Locations", "Registers", "Update
Cycle"; for bit 7 of port 0x70, the PIIX4 data sheet, "Real Time Clock Index Register".
"""

from time import gmtime
from typing import ClassVar, Final

from emulator.devices.device import Clock, Device, Record, UnsupportedError

SECONDS: Final = 0
MINUTES: Final = 2
HOURS: Final = 4
DAY_OF_WEEK: Final = 6
DATE_OF_MONTH: Final = 7
MONTH: Final = 8
YEAR: Final = 9
TIME: Final = (SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DATE_OF_MONTH, MONTH, YEAR)
STATUS_A: Final = 0x0A
STATUS_B: Final = 0x0B
STATUS_C: Final = 0x0C
STATUS_D: Final = 0x0D
NR_REGISTERS: Final = 128

A_UIP: Final = 1 << 7  # update in progress
A_DEFAULT: Final = 0x26  # a 32768 Hz crystal, 1024 Hz periodic rate
B_SET: Final = 1 << 7  # the time stands still, to be set
B_INTERRUPTS: Final = 0x70  # PIE, AIE, UIE
B_DM: Final = 1 << 2  # data is binary, not BCD
B_24: Final = 1 << 1
B_DSE: Final = 1 << 0
C_UF: Final = 1 << 4  # an update has ended since the last read
D_VRT: Final = 1 << 7  # the battery is good
PM: Final = 1 << 7  # in the hours, with 12 of them

NMI_MASK: Final = 1 << 7  # in the index port

# UIP warns this long before the time changes.
UPDATE_WARNING_NS: Final = 244_000
NS_PER_SECOND: Final = 1_000_000_000
SECONDS_PER_DAY: Final = 86_400
DAYS_BEFORE_MONTH: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
DAYS_BEFORE_1970: Final = 719_162  # from 1 January of the year 1


class CmosState(Record):
    """The clock's setting and the registers; those of the time count only while SET is on."""

    __slots__ = ("epoch", "index", "registers", "updated")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.index = 0  # as written, with the NMI mask
        self.updated = 0  # the time at the last read of status C
        self.registers = bytearray(NR_REGISTERS)
        self.registers[STATUS_A] = A_DEFAULT
        self.registers[STATUS_B] = B_24


def _days_since_1970(year: int, month: int) -> int:
    """Return the days from 1970-01-01 to the first of a month; ``month`` is 0 to 11."""
    before = year - 1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (before * 365 + before // 4 - before // 100 + before // 400 - DAYS_BEFORE_1970
            + DAYS_BEFORE_MONTH[month] + (leap and month > 1))


class Cmos(Device[CmosState]):
    """The clock.

    Args:
        now: the machine's virtual clock.
        epoch: the time of day when that was 0, in seconds since 1970-01-01 UTC.
    """

    name = "cmos"
    PORTS: ClassVar = range(0x70, 0x72)

    def __init__(self, now: Clock, epoch: int) -> None:
        self._now = now
        self.state = CmosState(epoch)
        self.state.updated = self._time()

    @property
    def nmi_masked(self) -> bool:
        """Whether the guest keeps non-maskable interrupts from the CPU."""
        return bool(self.state.index & NMI_MASK)

    def read_port(self, port: int, size: int) -> int:
        if port == self.PORTS.start:
            return 0xFF  # the index can only be written
        state = self.state
        index = state.index & ~NMI_MASK
        standing = state.registers[STATUS_B] & B_SET
        if index in TIME and not standing:
            return self._encode(self._time())[index]
        if index == STATUS_A and not standing:
            left = NS_PER_SECOND - self._now() % NS_PER_SECOND
            return state.registers[index] | (A_UIP if left <= UPDATE_WARNING_NS else 0)
        if index == STATUS_C:
            before, state.updated = state.updated, self._time()
            return C_UF if state.updated != before and not standing else 0
        return D_VRT if index == STATUS_D else state.registers[index]

    def write_port(self, port: int, size: int, value: int) -> None:
        state = self.state
        if port == self.PORTS.start:
            state.index = value
            return
        index = state.index & ~NMI_MASK
        if index == STATUS_B and value & (B_INTERRUPTS | B_DSE):
            raise UnsupportedError(
                f"cmos: status B {value:#04x}: the clock has no interrupts and no daylight saving"
            )
        if index in (STATUS_C, STATUS_D):
            return  # read-only
        registers = state.registers
        if index not in TIME and index != STATUS_B:
            registers[index] = value & ~A_UIP if index == STATUS_A else value
            return
        standing = registers[STATUS_B] & B_SET
        if not standing:
            for register, content in self._encode(self._time()).items():
                registers[register] = content
        registers[index] = value
        # The clock is set when it starts again; if it never stood, by each write.
        if not registers[STATUS_B] & B_SET and (standing or index in TIME):
            state.epoch += self._decode() - self._time()

    def _time(self) -> int:
        """Return the seconds since 1970 that the clock shows, were it not standing."""
        return self.state.epoch + self._now() // NS_PER_SECOND

    def _encode(self, time: int) -> dict[int, int]:
        """Return the time registers for ``time``, in the format that status B asks for."""
        now = gmtime(time)
        hour, pm = now.tm_hour, 0
        if not self.state.registers[STATUS_B] & B_24:
            hour, pm = (hour % 12 or 12), (PM if hour >= 12 else 0)
        return {
            SECONDS: self._to_data(now.tm_sec),
            MINUTES: self._to_data(now.tm_min),
            HOURS: self._to_data(hour) | pm,
            DAY_OF_WEEK: self._to_data((now.tm_wday + 1) % 7 + 1),
            DATE_OF_MONTH: self._to_data(now.tm_mday),
            MONTH: self._to_data(now.tm_mon),
            YEAR: self._to_data(now.tm_year % 100),
        }

    def _decode(self) -> int:
        """Return the seconds since 1970 that the time registers say; the weekday is ignored."""
        registers = self.state.registers
        hours = registers[HOURS]
        if registers[STATUS_B] & B_24:
            hour = self._from_data(hours)
        else:
            hour = self._from_data(hours & ~PM) % 12 + (12 if hours & PM else 0)
        year = self._from_data(registers[YEAR])
        carry, month = divmod(self._from_data(registers[MONTH]) - 1, 12)
        first = _days_since_1970((1900 if year >= 70 else 2000) + year + carry, month)
        days = first + self._from_data(registers[DATE_OF_MONTH]) - 1
        minutes = hour * 60 + self._from_data(registers[MINUTES])
        return days * SECONDS_PER_DAY + minutes * 60 + self._from_data(registers[SECONDS])

    def _to_data(self, value: int) -> int:
        if self.state.registers[STATUS_B] & B_DM:
            return value
        return value // 10 << 4 | value % 10

    def _from_data(self, data: int) -> int:
        if self.state.registers[STATUS_B] & B_DM:
            return data
        return (data >> 4) * 10 + (data & 0xF)

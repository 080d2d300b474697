"""What a person types comes at places of the clock, and fed there again gives the same run."""

from __future__ import annotations

import random
from typing import Final

from guest_kernel.drivers.console import resize_window
from ringlet.console import Input, Keyboard
from ringlet.session import Session
from tests.programs.debian import program

TYPED: Final = [
    b"read x; echo <$x>\n", b"so", b"me\x7f\x7fon", b"e\n", (31, 99), b"stty size\n",
    b"i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; ec", b"ho $i\n",
    b"while :; do :; done\n", b"\x03", b"sleep 1000\n", b"\x1a", b"fg\n", (32, 98), b"\x03",
    b"exit 5\n",
]

Come = bytes | tuple[int, int]


class Person:
    """Somebody at a terminal, who types when they like: at any time but not at all is likely."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._left: list[Come] = list(TYPED)
        self.resized = False

    def wait(self, seconds: float | None) -> bool:
        """Decide whether something comes now; it must if the guest waits without end."""
        if not self._left or (seconds is not None and self._chance.random() < 0.7):
            return False
        self.resized = isinstance(self._left[0], tuple)
        return not self.resized

    def read(self, n: int) -> bytes:
        keys = self._left.pop(0)
        assert isinstance(keys, bytes)
        return keys

    def window(self) -> tuple[int, int]:
        self.resized = False
        size = self._left.pop(0)
        assert isinstance(size, tuple)
        return size


class Replay(Input):
    """Feeds what was recorded, where it was."""

    def __init__(self, session: Session, recorded: list[tuple[int, Come]]) -> None:
        super().__init__(session.machine, session.kernel.k, lambda n: b"")
        self.left = list(recorded)

    def idle(self) -> bool:
        event = self._machine.hpet.next_event()
        if not self.left or (event is not None and self.left[0][0] > event):
            return False
        self._machine.pass_time(self.left[0][0])
        return self._feed()

    def tick(self) -> None:
        while self._feed():
            pass

    def _feed(self) -> bool:
        if not self.left or self.left[0][0] != self._machine.clock:
            return False
        what = self.left.pop(0)[1]
        if isinstance(what, bytes):
            self._machine.uart.feed(what)
        else:
            resize_window(self._k, *what)
        return True


def shell() -> Session:
    return Session(seed=5, tty=True, panic_on_oops=True, mem=64 << 20)


def end(session: Session, source: Input) -> tuple[object, ...]:
    """Run a shell; return how it and the machine have ended."""
    result = session.run([str(program("busybox")), "sh"], stdin=source,
                         env={"PATH": "/bin", "TERM": "dumb"})
    return result.status, result.output, session.machine.clock, session.machine.fingerprint()


def record(session: Session, person: Person) -> tuple[tuple[object, ...],
                                                      list[tuple[int, Come]]]:
    """Let somebody type; return how it ended, and what came when."""
    recorded: list[tuple[int, Come]] = []
    keys = Keyboard(session.machine, session.kernel.k, person, pace=False,
                    record=lambda clock, what: recorded.append((clock, what)))
    return end(session, keys), recorded


def test_keys_fed_again_where_they_came_give_the_same_run() -> None:
    """Whenever somebody types, are clock, output and RAM those of a run that is fed the record?"""
    ends = set()
    for seed in range(3):
        with shell() as session:
            first, recorded = record(session, Person(seed))
        assert first[0] == 5
        assert [what for _, what in recorded] == TYPED
        with shell() as session:
            replay = Replay(session, recorded)
            assert end(session, replay) == first
            assert not replay.left
        ends.add(first[2])
    assert len(ends) == 3  # the seeds do differ

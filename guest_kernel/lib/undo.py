"""Steps that are taken back together when a later one fails."""

from __future__ import annotations

from collections.abc import Callable


class Undo:
    """What takes back each step that was made; last one first.

    As :class:`contextlib.ExitStack`, which costs three calls a step, and a fork has a dozen.
    """

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def callback(self, function: Callable[..., object], *arguments: object) -> None:
        """Have ``function`` called if a later step fails."""
        self._steps.append((function, arguments))

    def run(self) -> None:
        """Take all steps back."""
        while self._steps:
            function, arguments = self._steps.pop()
            function(*arguments)

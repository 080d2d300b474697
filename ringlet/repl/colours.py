"""The colours of what the console shows, where the terminal has some."""

from __future__ import annotations

from functools import cache
from typing import Final

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.text import Text
from rich.theme import Theme

_THEME: Final = Theme({
    "ringlet.address": "cyan", "ringlet.symbol": "yellow", "ringlet.here": "bold green",
    "ringlet.title": "dim", "ringlet.changed": "bold red", "ringlet.frame": "magenta",
    "ringlet.stop": "bold", "ringlet.string": "green",
})


class _Colours(RegexHighlighter):
    """What stands out in the text of a view."""

    base_style = "ringlet."
    highlights = [  # noqa: RUF012  # as the base class has it
        r"(?P<address>\b0x[0-9a-f]+\b)",
        r"(?P<symbol><[\w.@$+?-]+>)",
        r"(?P<symbol>(?<= in )[\w.@$+?-]+(?= \())",
        r"(?P<string>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")",
        r"(?m)(?P<frame>^#\d+)",
        r"(?m)(?P<here>^=>)",
        r"(?m)(?P<title>^── .*$)",
        r"(?m)(?P<stop>^(?:Temporary )?(?:Break|Watch|Catch)point [\d, ]+$)",
        r"(?P<changed>0x[0-9a-f]+\*)",
    ]


@cache
def _console() -> Console:
    return Console(theme=_THEME, highlighter=_Colours(), soft_wrap=True)


def show(text: str) -> None:
    """Print a view's text."""
    console = _console()
    console.print(console.highlighter(Text(text)))

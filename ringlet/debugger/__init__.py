"""The debugger: one object with plain verbs, which everything that stops a machine uses.

It changes nothing of the machine: a run with stops, steps and watches everywhere ends as a free run
does.  See docs/debugging.md.
"""

from ringlet.debugger.core import Debugger
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.points import Breakpoint, Catchpoint, Watchpoint
from ringlet.debugger.stop import Reason, Stop

__all__ = ["Breakpoint", "Catchpoint", "Debugger", "DebuggerError", "Reason", "Stop", "Watchpoint"]

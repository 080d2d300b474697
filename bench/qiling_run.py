"""Run a program under Qiling: ``qiling_run.py ROOTFS PROGRAM [ARGUMENT...]``.

Run by the interpreter that has Qiling, never imported.  Qiling says nothing while it runs, which is
several times as fast as its default of a log line for each system call; and it does what qltool
does, but without the import of qltool's other commands.
"""

import sys
from importlib import import_module

core = import_module("qiling")
const = import_module("qiling.const")
core.Qiling(sys.argv[2:], sys.argv[1], verbose=const.QL_VERBOSE.OFF).run()

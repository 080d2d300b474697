"""``ringlet debug``: a Python console with gdb's commands."""

"""Signals: their numbers, what a process wants done about them, and its masks and stacks."""

"""Clocks, timers, and the system calls that sleep or tell the time."""

"""Terminals: the core, the line discipline N_TTY, job control, and the serial port."""

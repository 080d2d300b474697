"""The machine: CPU, memory, traps, clock, devices.  It knows no kernel."""

"""Drivers: what the kernel knows of devices."""

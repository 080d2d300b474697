"""The devices of the machine, one per file, and the buses that lead to them.

A device is a :class:`~emulator.devices.device.Device`: registers that the guest reaches through a
bus, one record of state that a snapshot saves, and callables for all that it does to the world (an
interrupt line, the far end of a wire, the machine's clock).  None reads the host's clock.
"""

"""The kernel: assembly that runs in ring 0, and its hosted half in Python."""

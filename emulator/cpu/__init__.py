"""The CPU: Unicorn's engine, and the microcode that it leaves out."""

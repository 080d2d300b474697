"""What a user is told."""


class DebuggerError(Exception):
    """What was asked for makes no sense; the message is a sentence."""

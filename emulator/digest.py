"""BLAKE2b, without the rest of hashlib, whose import loads OpenSSL: see CPython's Lib/random.py."""

try:
    from _blake2 import blake2b
except ImportError:  # an interpreter that was built without its own
    from hashlib import blake2b

__all__ = ["blake2b"]

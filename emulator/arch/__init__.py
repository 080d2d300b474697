"""The architecture as the manual states it: bits, formats, vectors; no behaviour."""

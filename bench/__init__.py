"""Measurements: ringlet and its peers on the same programs.  See ``docs/benchmarks.md``."""

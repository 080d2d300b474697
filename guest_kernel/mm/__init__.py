"""Memory: frames, slabs, address spaces, faults, the page cache."""

"""Who runs, and who waits for what."""

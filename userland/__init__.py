"""Programs that run in ring 3, in assembly and C, and what builds them."""

"""A task's life: birth, program, death; and what names it."""

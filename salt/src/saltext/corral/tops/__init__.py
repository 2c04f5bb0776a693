"""Master tops, found by Salt through the entry point."""

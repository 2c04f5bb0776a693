"""External pillars, found by Salt through the entry point."""

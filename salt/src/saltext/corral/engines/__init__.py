"""Engines of a Salt master."""

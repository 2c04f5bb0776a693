"""Returners of a minion without a master."""

"""What turns a host into what Corral's documents say, one thing at a time."""

__version__ = "0.1.0"

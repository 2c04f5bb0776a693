"""The Salt extension of Corral: an external pillar and master tops."""

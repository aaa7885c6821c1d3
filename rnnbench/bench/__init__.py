"""Measures what this machine does: the engine beside other ways to the same numbers, and where time goes."""

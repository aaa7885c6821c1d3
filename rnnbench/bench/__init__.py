"""Measures the speed of this machine: the engine compared with torch, and the parts of an update."""

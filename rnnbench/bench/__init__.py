"""Measure the speed of this machine: the engine beside torch's own operations, and the parts of an update."""

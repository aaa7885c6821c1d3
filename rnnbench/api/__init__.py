"""The commands as functions, and runs and sweeps as objects; `rnnbench/__init__.py` has the public names."""

"""Triton kernels of the most expensive sweeps. For each there is a torch implementation that passes the same tests."""

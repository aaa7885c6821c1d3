"""Triton kernels of the sweeps that take most of the time, each beside a torch path under the same tests."""

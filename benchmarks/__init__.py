"""Benchmarks that compare rnnbench with other packages, commits or chips; README.md lists the commands."""

"""The commands of `rnnbench`, one file each: its options, what it does, what it prints.

Each has `main(words) -> exit status`. They import torch only once the words have been checked.
"""

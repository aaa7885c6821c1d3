"""The commands of `rnnbench`, one module each, with its options and its output.

Each module has `main(words) -> exit status`, where `words` are the arguments after the command's name. A command
imports torch only after it has checked its arguments.
"""

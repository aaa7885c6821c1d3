"""The book's claims as experiments: each is a rule in conf/experiment/, measured, drawn and judged by one class here.

The only package that stands above the command line's training and the reading of its records.
"""

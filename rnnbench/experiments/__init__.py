"""Experiments that test claims of a textbook and of papers.

The rule of each experiment is in conf/experiment/; one class here measures, judges and draws it. This is the only
package that calls the training commands and reads their records.
"""

"""Errors of reading and writing a run's files."""


class RecordError(Exception):
    """A record could not be written or read; the message is one sentence with the file and the reason."""


class MachineError(RecordError):
    """An error that affects every file on this machine: a full or broken disk, too many open files, no memory."""

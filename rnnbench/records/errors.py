"""What can go wrong with a run's files."""


class RecordError(Exception):
    """A record could not be written or read: one sentence that names the file and says what happened."""


class MachineError(RecordError):
    """What every other file of this machine would meet too: a full or broken disk, too many open files, no memory."""

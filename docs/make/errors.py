"""The error of a page that cannot be made."""


class PageError(Exception):
    """A page cannot be made from its records; the message is one line that names the problem and the file."""

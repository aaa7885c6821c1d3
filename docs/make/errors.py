"""The error of a page that cannot be made."""


class PageError(Exception):
    """A page cannot be made from its records: one line that says what is wrong, and where."""

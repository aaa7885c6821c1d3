"""The error for all bad input."""


class ConfigError(Exception):
    """Bad input. The message is one line: the key, what is wrong, and what would be right."""

    def __init__(self, message: str) -> None:
        """Put the message on one line, whatever the values in it contain.

        Args:
            message: One sentence, without a final full stop.
        """
        super().__init__(" ".join(message.split()))

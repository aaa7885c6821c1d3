"""The one error that bad input ends in."""


class ConfigError(Exception):
    """Input that cannot be run: its message is one line that names the key, what is wrong and what would be right."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line, whatever the values in it contain.

        Args:
            message: One sentence, without a final full stop.
        """
        super().__init__(" ".join(message.split()))

"""Messages for the person at the terminal, none of which can do more to it than be read."""

import shlex
import sys


def say(text: str) -> None:
    """Print a message on stderr, as one line."""
    print(f"rnnbench: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """A text as one line: characters that a terminal obeys, such as ESC and the end of a line, as escapes.

    Names and paths come from anywhere: from records, arguments and folders of other people.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def shell_word(text: str) -> str:
    """A text as it is typed into a shell, quoted where it has to be; $'...' with escapes where `printable` has some."""
    if text.isprintable():
        return shlex.quote(text)
    escapes = {"'": "\\'", "\\": "\\\\"}
    return f"$'{''.join(escapes.get(one) or _bytes(one) for one in text)}'"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def _bytes(character: str) -> str:
    """A character, or the bytes that stand for it in the name of a file."""
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))

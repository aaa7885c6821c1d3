"""Messages on the terminal, without characters that could control it."""

import shlex
import sys


def say(text: str) -> None:
    """Print a message on stderr, as one line."""
    print(f"rnnbench: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return a text as one line, with control characters, such as ESC and line ends, as escapes.

    Names and paths may come from untrusted records, arguments and folders.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def shell_word(text: str) -> str:
    """Quote a text for a shell if necessary, as $'...' with escapes if it is not printable."""
    if text.isprintable():
        return shlex.quote(text)
    escapes = {"'": "\\'", "\\": "\\\\"}
    return f"$'{''.join(escapes.get(one) or _bytes(one) for one in text)}'"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def _bytes(character: str) -> str:
    """Return a character or, if it is not printable, the escapes of its bytes in a file name."""
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))

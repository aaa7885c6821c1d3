"""The code blocks of the documents, and the classes of docs/extending.md."""

import re
import types
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
OWN = (
    "task/first_value",
    "task/echo",
    "model/mgu",
    "optim/rms",
    "schedule/linear",
    "init/scaled_identity",
    "probe/theta_norm",
)
"""The choices of docs/extending.md that have a class on the page, in its order."""


def blocks(page, language):
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def own_code(choice):
    """The source of the class of a choice."""
    return blocks(DOCS / "extending.md", "python")[OWN.index(choice)]


def own_module(choice):
    """The module with the class of a choice."""
    module = types.ModuleType(choice.partition("/")[2])
    exec(own_code(choice), vars(module))
    return module


def write_own(folder):
    """Write the files of all choices into a folder of one's own."""
    settings = [text for text in blocks(DOCS / "extending.md", "yaml") if "torch.optim" not in text]  # needs no code
    for choice, text in zip(OWN, settings, strict=True):
        group, _, name = choice.partition("/")
        (folder / group).mkdir(parents=True, exist_ok=True)
        (folder / f"{choice}.yaml").write_text(text)
        (folder / f"{name}.py").write_text(own_code(choice))

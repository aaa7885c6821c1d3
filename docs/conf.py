"""Builds the documentation site, in a checkout: python -m sphinx -W docs build/site."""

import re
from pathlib import Path

from sphinx.application import Sphinx

import rnnbench

project = "rnnbench"
author = "rnnbench authors"
copyright = author
release = rnnbench.__version__

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["make"]
html_theme = "furo"
html_title = f"rnnbench {release}"

# Pages are in GitHub's Markdown: headings can be linked to, and <img> is an image.
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3

# The reference is made from the docstrings of what Python calls, and of the arithmetic that one's own classes build on.
REFERENCE = ("api", "tasks", "models", "init", "optim", "objective", "probes", "diagnostics", "modules")
PACKAGE = Path(rnnbench.__file__).parent
apidoc_modules = [
    {
        "path": str(PACKAGE),
        "destination": "api",
        "exclude_patterns": [
            str(path) for path in PACKAGE.iterdir() if path.name not in (*REFERENCE, "losses.py", "__init__.py")
        ],
        "separate_modules": True,
        "module_first": True,
        "max_depth": 2,
        "automodule_options": {"members", "show-inheritance"},
    }
]
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
default_role = "code"

MARKUP = re.compile(r"(`[^`]+`)|[*|]|_\b(?!\w)")


def escape_markup(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text but for `code`: |x| is an absolute value and a * b a product."""
    lines[:] = [MARKUP.sub(lambda found: found[1] or f"\\{found[0]}", line) for line in lines]


def skip_field(app: Sphinx, what: str, name: str, item: object, skip: bool, options: object) -> bool | None:
    """Fields of a named tuple are described in its docstring; Python's own text for them is left out."""
    return True if type(item).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_field)
    app.connect("autodoc-process-docstring", escape_markup, priority=400)  # before Napoleon's 500

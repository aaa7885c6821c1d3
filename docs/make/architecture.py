"""docs/images/architecture.svg: the packages of rnnbench in layers, each above those that it imports."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

LAYERS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    ("terminal, Python", (("cli", "dispatch"), ("api", "commands as functions"), ("commands", "one file a command"))),
    (
        "what a command runs",
        (
            ("sweeps", "groups, backends"),
            ("experiments", "claims, verdicts"),
            ("probing", "saved nets"),
            ("checks", "laws of own classes"),
            ("bench", "speed here"),
        ),
    ),
    (
        "one batched run",
        (("run", "device, folders, checkpoints"), ("reports", "tables, figures"), ("modules", "torch.nn.Module")),
    ),
    ("configuration and loop", (("config", "schema, composition, build"), ("training", "loop, observer"))),
    (
        "one update, its rows",
        (("optim", "hf, nag, sgd, adam"), ("probes", "what is measured"), ("records", "csv, events, json")),
    ),
    ("functions of theta", (("objective", "loss, gradient, products"), ("diagnostics", "spectra, products"))),
    (
        "arithmetic",
        (
            ("tasks", "batches"),
            ("models", "sweeps in time"),
            ("native", "C++"),
            ("kernels", "Triton"),
            ("init", "theta at 0"),
            ("losses", ""),
            ("linear_algebra", "LAPACK"),
        ),
    ),
)

WIDTH, ROW, BOX, LABEL, GAP = 900, 62, 46, 170, 10
STYLE = (
    "text{font:13px sans-serif;fill:#222}.name{font-weight:600}.small{font-size:11px;fill:#555}"
    ".box{fill:#eef3fa;stroke:#5b7fb0}"
)


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The picture and its contents."""
    return {docs / "images" / "architecture.svg": "\n".join(_svg()) + "\n"}


def _svg() -> Iterator[str]:
    """The lines of the picture."""
    height = ROW * len(LAYERS)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    yield f'<style>{STYLE}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    for row, (label, packages) in enumerate(LAYERS):
        top = ROW * row + (ROW - BOX) / 2
        yield f'<text class="small" x="8" y="{top + BOX / 2 + 4:g}">{escape(label)}</text>'
        width = (WIDTH - LABEL - GAP * len(packages)) / len(packages)
        for place, (name, meaning) in enumerate(packages):
            left = LABEL + place * (width + GAP)
            middle = left + width / 2
            yield f'<rect class="box" x="{left:g}" y="{top:g}" width="{width:g}" height="{BOX}" rx="5"/>'
            yield f'<text class="name" text-anchor="middle" x="{middle:g}" y="{top + 20:g}">{escape(name)}</text>'
            yield f'<text class="small" text-anchor="middle" x="{middle:g}" y="{top + 36:g}">{escape(meaning)}</text>'
    yield "</svg>"

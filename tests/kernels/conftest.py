import sys

import pytest

import rnnbench.kernels

COMPILED = ("elementwise", "tiles", "states", "gradients", "launch")


@pytest.fixture(scope="package", autouse=True)
def _interpreted():
    """Import the kernels anew under Triton's interpreter, for the tests of this folder alone."""
    pytest.importorskip("triton", reason="the kernels need Triton, which exists for Linux alone")

    def forget():
        for name in COMPILED:
            sys.modules.pop(f"rnnbench.kernels.{name}", None)
            vars(rnnbench.kernels).pop(name, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        forget()
        yield
        forget()

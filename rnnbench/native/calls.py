"""Calls of the compiled library, by ctypes, which releases Python's lock while a call runs."""

import ctypes
from ctypes import POINTER, c_int64, c_void_p
from pathlib import Path

FORWARD, BACKWARD, TANGENTS, STATE_GRADIENTS = range(4)
NONLINEARITIES = ("tanh", "sigmoid", "relu", "linear")
DISTANCES = ("squared_error", "cross_entropy")


class Block(ctypes.Structure):
    """One block of sequences and its memory: the fields of `Block` in tiles.h, which explains them."""

    _fields_ = (
        *(
            (name, c_int64)
            for name in (
                *("replicas", "sequences", "steps", "hidden", "inputs", "outputs", "num_outputs", "tile"),
                *("nonlinearity", "distance", "traced", "theta_stride", "direction_stride"),
            )
        ),
        ("input_strides", c_int64 * 3),
        ("end_strides", c_int64 * 3),
        ("length_strides", c_int64 * 2),
        *(
            (name, c_void_p)
            for name in (
                *("theta", "direction", "input", "ends", "lengths", "rows", "tangents", "values", "structural"),
                *("partials", "gradient", "state_gradients", "missing"),
            )
        ),
        ("next", c_int64),
    )


class Library:
    """The functions of a compiled library for one floating-point type.

    Args:
        path: The library.
        item_size: Bytes of a number: 4 or 8.

    Raises:
        OSError: The file is not a library of this machine, or another version.

    Attributes:
        run: (block, sweep, scratch): runs tiles of a block until none is left; several threads may call it at once.
    """

    def __init__(self, path: Path, item_size: int) -> None:
        library = ctypes.CDLL(str(path))
        name = {4: "float", 8: "double"}[item_size]
        try:
            self.run = library[f"run_{name}"]
            self._scratch_bytes = library[f"scratch_bytes_{name}"]
            size = library["block_bytes"]
        except AttributeError as error:
            raise OSError(str(error)) from error
        self.run.argtypes, self.run.restype = (POINTER(Block), c_int64, c_void_p), None
        self._scratch_bytes.argtypes, self._scratch_bytes.restype = (POINTER(Block),), c_int64
        size.restype = c_int64
        if size() != ctypes.sizeof(Block):
            raise OSError(f"{path} has blocks of {size()} bytes, expected {ctypes.sizeof(Block)}")

    def scratch_bytes(self, block: Block) -> int:
        """Bytes of the memory that each thread needs for a block."""
        return int(self._scratch_bytes(block))

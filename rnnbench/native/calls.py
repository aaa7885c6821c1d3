"""Calls of the compiled library, by ctypes, which releases Python's lock while a call runs."""

import ctypes
from ctypes import POINTER, c_int64, c_void_p
from pathlib import Path

FORWARD, BACKWARD, TANGENTS, STATE_GRADIENTS, GRADIENT, PRODUCT, HESSIAN_BACKWARD = range(7)
NONLINEARITIES = ("tanh", "sigmoid", "relu", "linear")
LOSSES = ("squared_error", "softmax_cross_entropy", "sigmoid_cross_entropy")


class Block(ctypes.Structure):
    """One block of sequences and its memory: the fields of `Block` in tiles.h, which explains them."""

    _fields_ = (
        *(
            (name, c_int64)
            for name in (
                *("replicas", "sequences", "steps", "hidden", "inputs", "outputs", "num_outputs", "tile"),
                *("nonlinearity", "traced", "theta_stride", "direction_stride"),
            )
        ),
        ("input_strides", c_int64 * 3),
        ("end_strides", c_int64 * 3),
        ("length_strides", c_int64 * 2),
        *(
            (name, c_void_p)
            for name in (
                *(
                    "theta",
                    "direction",
                    "input",
                    "ends",
                    "lengths",
                    "rows",
                    "saved",
                    "tangents",
                    "values",
                    "structural",
                ),
                *("partials", "gradient", "state_gradients", "missing"),
            )
        ),
        *((name, c_int64) for name in ("next", "loss", "divisor")),
        *((name, c_void_p) for name in ("targets", "predictions", "tile_losses", "losses")),
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
        num_saved: Vectors of n numbers that are saved of a step of a sequence beside h; the first is the second part of
            the state, if it has one.
    """

    def __init__(self, path: Path, item_size: int) -> None:
        library = ctypes.CDLL(str(path))
        name = {4: "float", 8: "double"}[item_size]
        try:
            self.run = library[f"run_{name}"]
            self._scratch_bytes, self._partial_size = library[f"scratch_bytes_{name}"], library[f"partial_size_{name}"]
            num_saved, size = library["num_saved"], library["block_bytes"]
        except AttributeError as error:
            raise OSError(str(error)) from error
        self.run.argtypes, self.run.restype = (POINTER(Block), c_int64, c_void_p), None
        for function in (self._scratch_bytes, self._partial_size):
            function.argtypes, function.restype = (POINTER(Block),), c_int64
        num_saved.restype = size.restype = c_int64
        self.num_saved = int(num_saved())
        if size() != ctypes.sizeof(Block):
            raise OSError(f"{path} has blocks of {size()} bytes, expected {ctypes.sizeof(Block)}")

    def scratch_bytes(self, block: Block) -> int:
        """Bytes of the memory that each thread needs for a block."""
        return int(self._scratch_bytes(block))

    def partial_size(self, block: Block) -> int:
        """Numbers of the partial sums of each tile of a block."""
        return int(self._partial_size(block))

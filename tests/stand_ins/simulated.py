"""A device that computes on the CPU and keeps to the rules of a GPU, for where there is none.

torch takes it for a device of its own, registered in Python. A tensor on it wraps one of the CPU. What a GPU would not
do is refused: operations on tensors of the device and of the host together, a generator of the host's, and numpy's view
of a tensor. Reading a number is allowed, as it is on a GPU, where it waits.
"""

from contextlib import contextmanager

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("simulated")
DEVICE = torch.device("simulated", 0)
CPU = torch.device("cpu")

READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::is_nonzero")
COPIES = ("aten::copy_", "aten::_to_copy")
CHANGE_SHAPES = ("aten::resize_", "aten::set_", "aten::as_strided_", "aten::squeeze_", "aten::unsqueeze_",
                 "aten::transpose_", "aten::t_")  # fmt: skip


class OnDevice(torch.Tensor):
    """A tensor of the device; its numbers lie in `held`."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"{self.held!r} on {DEVICE}"

    def tolist(self):
        """Torch refuses this for every subclass."""
        _note("read", "tolist")
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        schema = function._schema
        assert schema.name not in CHANGE_SHAPES, f"{schema.name}: the wrapper would keep its shape"
        if schema.name not in COPIES:
            _refuse_mixture(schema.name, _leaves((*args, *kwargs.values())))
        goes_to_host = torch.device(kwargs.get("device") or DEVICE) == CPU
        if goes_to_host or schema.name in READS or _selects_by_mask(schema.name, args):
            _note("read", schema.name)
        if schema.name == "aten::copy_":
            _note_copy(*args[:2])
        if "device" in kwargs:
            kwargs["device"] = CPU
        found = function(*_mapped(_held, args), **{name: _mapped(_held, value) for name, value in kwargs.items()})
        written = _written(schema, args, kwargs)
        if written:
            return written[0] if len(written) == 1 else tuple(written)
        return found if goes_to_host else _mapped(_wrapped, found)


def _selects_by_mask(name, args):
    """How many numbers that gives, the host has to know."""
    is_mask = name.startswith("aten::index") and isinstance(args[1], list | tuple)
    return is_mask and any(index is not None and index.dtype == torch.bool for index in args[1])


NOTES = None


@contextmanager
def traffic():
    """What was read from the device, and written to it out of the host's memory: (direction, operation) each."""
    global NOTES
    NOTES = []
    try:
        yield NOTES
    finally:
        NOTES = None


def _note(direction, name):
    if NOTES is not None:
        NOTES.append((direction, name))


def _note_copy(target, source):
    if isinstance(target, OnDevice) != isinstance(source, OnDevice):
        _note("write" if isinstance(target, OnDevice) else "read", "aten::copy_")


def _refuse_mixture(name, leaves):
    """A number of the host's may meet the device's, as torch has it for any device; a generator of the host's not."""
    for leaf in leaves:
        if isinstance(leaf, torch.Generator):
            raise RuntimeError(f"{name}: expected a generator on {DEVICE}, found one on cpu")
        if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice) and leaf.dim() > 0:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {DEVICE} and cpu")


def _leaves(value):
    """What a value holds that is neither list nor tuple; torch's own walk takes most of the time of an operation."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _mapped(function, value):
    """A function of all leaves of a value."""
    if isinstance(value, list | tuple):
        kind = list if isinstance(value, list) else tuple
        return kind(_mapped(function, part) for part in value)
    return function(value)


def _held(leaf):
    return leaf.held if isinstance(leaf, OnDevice) else leaf


def _wrapped(leaf):
    return OnDevice(leaf) if isinstance(leaf, torch.Tensor) else leaf


def _written(schema, args, kwargs):
    """The tensors that an operation writes and returns, by its schema."""
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
    return [
        given[argument.name]
        for argument in schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write and argument.name in given
    ]


def _empty(size, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return OnDevice(torch.empty(size, dtype=dtype))


def _empty_strided(size, stride, *, dtype=None, layout=None, device=None, pin_memory=None):
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype))


def _zero(size, *, dtype=None, layout=None, device=None, pin_memory=None):
    return OnDevice(torch.zeros(size, dtype=dtype))


def _copy_from(source, target, non_blocking=False):
    _note_copy(target, source)
    _held(target).copy_(_held(source))
    return target


def copy_at_once(source):
    """What `rnnbench.training.transfer.copy_to_pinned` is on a GPU, whose driver has page-locked memory and events."""
    return source.cpu(), lambda: None


LIBRARY = torch.library.Library("aten", "IMPL")
"""What torch asks a device for where it has no tensor of the device yet; all else reaches `OnDevice`."""

for name, function in {
    "empty.memory_format": _empty,
    "empty_strided": _empty_strided,
    "_efficientzerotensor": _zero,
    "_copy_from": _copy_from,
}.items():
    LIBRARY.impl(name, function, "PrivateUse1")

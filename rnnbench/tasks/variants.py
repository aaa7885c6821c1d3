"""Which variants each task has, and the shortest sequences that each can be scaled to. Imports no torch.

A variant is a publication's definition of the task: `hs97` Hochreiter and Schmidhuber (1997), `hf11` the Hessian-free
code of Martens and Sutskever (2011), `thesis` Sutskever (2013), `pascanu13` Pascanu, Mikolov and Bengio (2013),
`urnn16` Arjovsky, Shah and Bengio (2016), `cornn21` Rusch and Mishra (2021).
"""

MINIMUM_LENGTHS: dict[str, dict[str, int]] = {
    "Adding": {"hf11": 6, "thesis": 10, "pascanu13": 10, "urnn16": 2, "cornn21": 2, "hs97": 11},
    "Multiplication": {"hf11": 6, "thesis": 10, "pascanu13": 10, "hs97": 11},
    "TemporalOrder": {"hf11": 5, "pascanu13": 10, "hs97": 10},
}
"""Name of a task's class -> its variants -> the smallest `task.sequence_length` of each.

At and above it, every place that a variant draws from has at least one step, no two overlap, and all lie inside the
shortest sequence.
"""


def variants_of(task: str) -> tuple[str, ...]:
    """Names of the variants of the task with this class name, the default one first."""
    return tuple(MINIMUM_LENGTHS[task])


def check_variant(task: str, variant: str, sequence_length: int) -> None:
    """Check that a task has a variant, and that the variant is defined at a length.

    Args:
        task: Name of the task's class.
        variant: Name of the variant.
        sequence_length: Nominal length T.

    Raises:
        ValueError: The task lacks the variant, or the length is too small for it; one sentence that names the key.
    """
    minimums = MINIMUM_LENGTHS[task]
    if variant not in minimums:
        raise ValueError(f"task.variant: {task} has no variant {variant!r}; it has {', '.join(minimums)}")
    if sequence_length < minimums[variant]:
        raise ValueError(
            f"task.sequence_length must be at least {minimums[variant]} for variant {variant} of {task}, "
            f"got {sequence_length}"
        )

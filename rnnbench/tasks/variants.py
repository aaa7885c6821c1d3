"""The variants of each task, and the smallest sequence length of each. Imports no torch.

A variant is a publication's definition of the task: `bengio94` Bengio, Simard and Frasconi (1994), `hs97`
Hochreiter and Schmidhuber (1997), `hf11` the Hessian-free code of Martens and Sutskever (2011), `thesis` Sutskever
(2013), `pascanu13` Pascanu, Mikolov and Bengio (2013), `boulanger13` Boulanger-Lewandowski's Hessian-free
code (2013), `urnn16` Arjovsky, Shah and Bengio (2016), `cornn21` Rusch and Mishra (2021). `hf11_answers` is hf11 with a
loss only at the answers; its code has this too.
"""

MINIMUM_LENGTHS: dict[str, dict[str, int]] = {
    "Adding": {"hf11": 6, "thesis": 10, "pascanu13": 10, "urnn16": 2, "cornn21": 2, "hs97": 11},
    "Multiplication": {"hf11": 6, "thesis": 10, "pascanu13": 10, "hs97": 11},
    "TemporalOrder": {"hf11": 4, "pascanu13": 10, "hs97": 10},
    "Xor": {"hf11": 12, "thesis": 10},
    "RandomPermutation": {"hf11": 2, "pascanu13": 2},
    "Memorization": {"hf11": 1, "hf11_answers": 1, "pascanu13": 1},
    "Latch": {"bengio94": 1},
    "OneBit": {"hf11": 3, "hf11_answers": 3, "pascanu13": 1, "boulanger13": 2},
}
"""Class name of a task -> variant -> smallest `task.sequence_length`; see `minimum_length`.

From this length on, every window of steps that a variant draws from has at least one step, no two windows overlap, and
all lie inside the shortest sequence.
"""

STEPS_PER_POSITION: dict[str, dict[str, int]] = {
    "Memorization": {"hf11": 2, "hf11_answers": 2},
    "Latch": {"bengio94": 1},
}
"""Steps that each position to memorize adds to the smallest length: one to show it and one for the answer, if any."""


def variants_of(task: str) -> tuple[str, ...]:
    """Names of a task's variants by its class name; the default variant comes first."""
    return tuple(MINIMUM_LENGTHS[task])


def minimum_length(task: str, variant: str, num_positions: int = 0) -> int:
    """The smallest `task.sequence_length` of a variant.

    Args:
        task: Name of the task's class.
        variant: Name of one of its variants.
        num_positions: Value of `task.num_positions`, for tasks that have this key.
    """
    return MINIMUM_LENGTHS[task][variant] + num_positions * STEPS_PER_POSITION.get(task, {}).get(variant, 0)


def check_variant(task: str, variant: str, sequence_length: int, num_positions: int = 0) -> None:
    """Check that a task has a variant, and that the variant is defined at a length.

    Args:
        task: Name of the task's class.
        variant: Name of the variant.
        sequence_length: Nominal length T.
        num_positions: Value of `task.num_positions`, for tasks that have this key.

    Raises:
        ValueError: The task has no such variant, or the length is too small for it; the message names the key.
    """
    minimums = MINIMUM_LENGTHS[task]
    if variant not in minimums:
        raise ValueError(f"task.variant: {task} has no variant {variant!r}; it has {', '.join(minimums)}")
    minimum = minimum_length(task, variant, num_positions)
    if sequence_length < minimum:
        positions = f" with task.num_positions={num_positions}" if task in STEPS_PER_POSITION else ""
        raise ValueError(
            f"task.sequence_length must be at least {minimum} for variant {variant} of {task}{positions}, "
            f"got {sequence_length}"
        )

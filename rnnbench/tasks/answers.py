"""Which answers of a sequence are wrong, and what is recorded where only some of its outputs are answers.

Letters: R replicas, B sequences, S outputs of a sequence, o output units.
"""

from torch import Tensor

from rnnbench.metrics import Metric

ANSWER_LOSS = Metric(
    "answer_loss/eval",
    "mean loss of the answers alone, over the sequences of loss/eval: the outputs at the steps that ask for what was "
    "memorized",
    "nats",
    "falls below the constant predictor's, the logarithm of the number of symbols that may be asked for; loss/eval, a "
    "mean over all steps, hardly shows it",
)
WRONG_SYMBOLS = Metric(
    "wrong_symbols/eval",
    "mean number of wrong answers in a sequence, over the sequences of loss/eval",
    "symbols, 0 to num_positions",
    "falls to 0; the constant predictor has num_positions (1 - 1 / num_symbols): 0.5 of 1, 2.5 of 5, 8 of 10",
)
EXACT_SEQUENCE_RATE = Metric(
    "exact_sequence_rate/eval",
    "share of the sequences of loss/eval whose answers are all right, whatever the outputs before them are",
    "1",
    "rises to 1; the constant predictor has num_symbols^-num_positions",
)


def wrong_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    """Which outputs do not have their largest unit at the target.

    Args:
        outputs: (S, R, B, o).
        targets: (S, R, B), int64.

    Returns:
        (S, R, B), bool; an output with a NaN is wrong.
    """
    # The largest of outputs with a NaN is the NaN, which says nothing about the class.
    return (outputs.argmax(-1) != targets) | outputs.isnan().any(-1)

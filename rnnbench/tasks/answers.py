"""Wrong answers of a sequence, and the metrics of tasks in which only some outputs are answers.

Letters: R replicas, B sequences, S outputs of a sequence, o output units.
"""

from torch import Tensor

from rnnbench.metrics import Metric

ANSWER_LOSS = Metric(
    "answer_loss/eval",
    "mean loss of the answers, the outputs at the steps that ask for the memorized symbols; over the same sequences as "
    "loss/eval",
    "nats",
    "falls below the loss of the constant predictor, the logarithm of the number of possible answers; loss/eval, a "
    "mean over all steps, hardly changes then",
)
WRONG_SYMBOLS = Metric(
    "wrong_symbols/eval",
    "mean number of wrong answers per sequence, over the same sequences as loss/eval",
    "symbols, 0 to num_positions",
    "falls to 0; for the constant predictor it is num_positions (1 - 1 / num_symbols): 0.5 of 1, 2.5 of 5, 8 of 10",
)
EXACT_SEQUENCE_RATE = Metric(
    "exact_sequence_rate/eval",
    "share of sequences whose answers are all correct, over the same sequences as loss/eval; outputs before the "
    "answers do not count",
    "1",
    "rises to 1; for the constant predictor it is num_symbols^-num_positions",
)

WRONG_OUTPUTS = Metric(
    "wrong_outputs/eval",
    "share of the outputs that are wrong, over the same sequences as loss/eval",
    "1",
    "falls from 0.5, that of the constant predictor, to 0; error_rate/eval, which counts every sequence with a wrong "
    "output, falls later",
)


def wrong_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    """Which outputs have their largest unit elsewhere than at the target class.

    Args:
        outputs: (S, R, B, o).
        targets: (S, R, B), int64.

    Returns:
        (S, R, B), bool; an output with a NaN is wrong.
    """
    # argmax returns the position of a NaN, which could be the target class.
    return (outputs.argmax(-1) != targets) | outputs.isnan().any(-1)


def wrong_signs(outputs: Tensor, targets: Tensor) -> Tensor:
    """Which logits have the wrong sign.

    Args:
        outputs: (S, R, B, 1).
        targets: (S, R, B, 1), each 0 or 1.

    Returns:
        (S, R, B), bool; a NaN is wrong.
    """
    return (((outputs > 0) != (targets > 0.5)) | outputs.isnan())[..., 0]

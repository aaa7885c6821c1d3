"""Names that other programs use for our keys, choices and commands, so that a message can suggest ours."""

import re
from collections.abc import Mapping

_KEYS: Mapping[str, str] = {
    "budget.updates": "epochs steps train_steps training_steps iterations iters train_iters updates optimizer_steps",
    "budget.sequences": "samples train_samples examples",
    "budget.minutes": "time time_limit hours seconds timeout walltime",
    "task": "data dataset problem env environment",
    "task.delay": "delay lag shift",
    "task.sequence_length": "t seq_len seqlen seq_length sequence_len length len time_steps timesteps bptt delay lag",
    "model": "net network cell arch architecture rnn rnn_type cell_type",
    "model.hidden_size": "h hidden hidden_dim hidden_units units nhid rnn_size state_size d_model width",
    "model.num_layers": "layers nlayers n_layers depth num_rnn_layers",
    "model.nonlinearity": "activation activation_function activation_fn act nonlin",
    "init": "initializer initialization initialisation weight_init",
    "init.spectral_radius": "radius rho spectral",
    "optim": "optimizer optimiser opt algorithm method solver nesterov",
    "optim.lr": "learning_rate step_size stepsize eta lrate",
    "optim.batch_size": "batch bs batch_size minibatch minibatch_size mb_size train_batch_size",
    "optim.gradient_batch_size": "batch bs batch_size minibatch minibatch_size mb_size train_batch_size",
    "optim.momentum": "mom mu",
    "optim.betas": "beta beta1 beta2 beta_1 beta_2",
    "optim.eps": "epsilon",
    "optim.weight_decay": "wd decay l2 l2_reg regularization dropout",
    "optim.clip_norm": "clip clipping grad_clip clip_grad gradient_clip gradient_clipping "
    "gradient_clip_val clip_grad_norm max_norm grad_norm",
    "optim.clip_value": "clip_grad_value grad_clip_value",
    "optim.information_flow": "regularizer omega vanishing_penalty flow",
    "optim.gradient_noise": "noise_eta grad_noise gradient_noise_eta",
    "optim.gradient_noise_decay": "noise_gamma noise_decay",
    "optim.average_decay": "ema ema_decay swa polyak averaging weight_averaging average averaged_model",
    "optim.average_start": "swa_start ema_start averaging_start",
    "flossing.exponents": "flossing gradient_flossing lyapunov",
    "optim.damping": "lambda lambda_ lam tikhonov",
    "optim.structural_damping": "structural mu",
    "optim.max_cg_iterations": "cg cg_iters cg_iterations cg_steps",
    "schedule": "scheduler lr_scheduler lr_schedule learning_rate_schedule decay_schedule annealing",
    "schedule.warmup": "warmup_steps warmup_updates warmup_iters num_warmup_steps lr_warmup",
    "schedule.final": "eta_min min_lr lr_min min_lr_rate end_lr lr_end alpha_f",
    "schedule.length": "length t_max tmax decay_steps lr_decay_iters total_steps num_training_steps",
    "probe": "probes monitor monitors diagnostics",
    "seed": "seeds random_seed rng rng_seed manual_seed random_state repeats trials replicas",
    "device": "gpu gpus cuda use_cuda use_gpu no_cuda cpu accelerator",
    "dtype": "precision float fp16 bf16 amp",
    "threads": "workers jobs cores cpus processes",
    "name": "run_name exp_name experiment_name run_id tag",
    "stop_when_solved": "early_stop early_stopping patience",
    "record.log_every": "log_interval log_freq log_frequency print_every print_freq",
    "record.evaluate_every": "eval_every eval_interval eval_freq evaluate_interval val_every val_interval test_every",
    "record.checkpoint_every": "save_every save_interval save_freq ckpt_every checkpoint_interval checkpoint_freq",
    "hydra.run.dir": "out outdir out_dir output output_dir dir save_dir log_dir logdir folder result_dir",
    "hydra.sweep.dir": "out outdir out_dir output output_dir dir save_dir log_dir logdir folder result_dir",
}
"""Key, or group -> its names in other programs."""

_CHOICES: Mapping[str, Mapping[str, str]] = {
    "task": {
        "adding": "add addition adding_problem sum",
        "multiplication": "mul mult multiply multiplying product",
        "temporal_order": "order",
        "random_permutation": "permutation",
        "memorization_5": "memory memorization recall repeat",
        "copy_memory": "copy copying copying_memory copying_problem copy_task",
        "digits": "mnist smnist psmnist sequential_mnist permuted_mnist pixel_mnist images",
        "latch": "latching flip_flop flipflop",
        "two_sequence": "2_sequence two_sequences",
    },
    "model": {
        "rnn": "vanilla vanilla_rnn elman elman_rnn simple simple_rnn srn tanh relu irnn",
        "orthogonal_rnn": "orthogonal ornn urnn exprnn scornn unitary",
        "lru": "ssm s4 s5 linear diagonal linear_recurrence",
    },
    "init": {
        "edge_of_chaos": "chaos edge critical near_critical lyapunov",
        "gaussian": "normal random kaiming he default",
        "xavier": "glorot lecun",
        "chain": "nonnormal",
        "identity": "eye irnn",
        "from_file": "pretrained file load weights checkpoint warm_start",
        "orthogonal": "ortho unitary saxe",
        "sparse": "esn echo_state",
    },
    "optim": {
        "hf": "hessian_free hessianfree newton truncated_newton cg gauss_newton ggn second_order",
        "adam": "amsgrad",
        "nag": "nesterov",
        "sgd": "gd momentum gradient_descent",
    },
    "schedule": {
        "constant": "none off no null fixed linear_warmup constant_with_warmup warmup",
        "cosine": "cosine_annealing cosineannealinglr cosine_with_warmup onecycle",
        "inverse_sqrt": "noam rsqrt inverse_square_root inv_sqrt",
        "step": "steplr multistep exponential",
    },
    "probe": {"none": "off no false null", "default": "on true"},
    "rnnbench": {
        "train": "run fit start learn sweep",
        "resume": "continue restart go",
        "list": "ls show options choices",
        "report": "plot results summary table evaluate eval",
        "probe": "analyze analyse inspect",
        "export": "save convert download to_torch",
        "reproduce": "experiment experiments claims verify",
        "bench": "benchmark speed profile time",
    },
}
"""Group -> choice -> its names in other programs; `rnnbench` -> command -> its names in other programs."""

_REMARKS: Mapping[str, str] = {
    "epochs": "every update draws new sequences, so there are no epochs",
    "dropout": "no net has dropout",
}
"""Name of a feature that rnnbench does not have -> the reason."""

_AMOUNT = re.compile(r"^(num|n|nb|max|total|number_of)_")
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _plain(word: str) -> str:
    """A word without differences in spelling: capitals, `_`, `-`, a prefix such as "num_", the plural."""
    short = _AMOUNT.sub("", _CAPITAL.sub("_", word).lower().replace("-", "_")).replace("_", "")
    return short.removesuffix("s") if len(short) > 2 else short


def _inverted(words: Mapping[str, str]) -> dict[str, list[str]]:
    """Plain word -> the keys or choices with this name."""
    meanings: dict[str, list[str]] = {}
    for ours, theirs in words.items():
        for word in dict.fromkeys(map(_plain, theirs.split())):
            meanings.setdefault(word, []).append(ours)
    return meanings


KEYS_OF = _inverted(_KEYS)
"""Plain word -> our keys, or groups, the most likely first."""

CHOICES_OF = {group: _inverted(words) for group, words in _CHOICES.items()}
"""Group -> plain word -> its choices."""

REMARKS = {_plain(word): remark for word, remark in _REMARKS.items()}
"""Plain word -> the reason why rnnbench has no such key."""


def usual_keys(key: str) -> list[str]:
    """Our keys for a name in other programs; the keys need not exist in the configuration.

    Args:
        key: Key as typed, such as `learning_rate`, `optim.learning_rate` or `train.lr`.

    Returns:
        The keys of the same group if there are any, otherwise all; none for keys of probes and Hydra.
    """
    group, _, word = key.rpartition(".")
    found = KEYS_OF.get(_plain(word), [])
    same = [name for name in found if group and name.startswith(f"{group}.")]
    return same or ([] if group.startswith(("probe", "hydra")) else found)


def usual_choices(group: str, given: str) -> list[str]:
    """The choices of a group for a name in other programs.

    Args:
        group: A group, or `rnnbench` for its commands.
        given: Name as typed.
    """
    return CHOICES_OF.get(group, {}).get(_plain(given), [])


def remark_on(key: str) -> str:
    """The reason why rnnbench has no such key; empty if there is no remark."""
    return REMARKS.get(_plain(key.rpartition(".")[2]), "")

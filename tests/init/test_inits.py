"""Laws of the initializations: counts, spectra, distributions, and what a seed means."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.checks.init_laws import INIT_LAWS, InitCase
from rnnbench.init.chain import ChainInit
from rnnbench.init.gaussian import GaussianInit
from rnnbench.init.identity import IdentityInit
from rnnbench.init.orthogonal import OrthogonalInit
from rnnbench.init.sparse import SparseInit
from rnnbench.init.spectral_radius import rescale
from rnnbench.models.gru import Gru
from rnnbench.models.latch import Latch
from rnnbench.models.lstm import Lstm
from rnnbench.models.parameters import Parameter
from rnnbench.models.simple_rnn import SimpleRnn

SCALES = {"input_scale": 0.1, "output_scale": 0.2, "bias_scale": 0.3, "initial_state_scale": 0.4}
INITS = {
    "sparse": SparseInit(num_connections=3, spectral_radius=1.1, **SCALES),
    "gaussian": GaussianInit(**SCALES),
    "gaussian_rescaled": GaussianInit(spectral_radius=0.9, **SCALES),
    "orthogonal": OrthogonalInit(**SCALES),
    "identity": IdentityInit(**SCALES),
    "chain": ChainInit(feedback=0.04, **SCALES),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def layout(hidden_size, num_blocks=1):
    rows = num_blocks * hidden_size
    return {
        "weight_ih": Parameter((rows, 2), "input"),
        "weight_hh": Parameter((rows, hidden_size), "recurrent"),
        "bias": Parameter((rows,), "bias"),
        "initial_state": Parameter((hidden_size,), "initial_state"),
        "weight_out": Parameter((1, hidden_size), "readout"),
        "bias_out": Parameter((1,), "readout_bias"),
    }


def moduli(block):
    return torch.linalg.eigvals(block).abs()


def z_score(samples, mean):
    """How many standard errors the samples' mean is off."""
    return abs(samples.mean().item() - mean) / (samples.std().item() / math.sqrt(samples.numel()))


SIZES = st.integers(1, 20)


@given(n=SIZES, num_connections=st.integers(1, 25), spectral_radius=st.floats(0.01, 10), seed=st.integers(0, 2**62))
@settings(max_examples=60)
def test_sparse_has_its_connections_and_spectral_radius(n, num_connections, spectral_radius, seed):
    init = SparseInit(num_connections=num_connections, spectral_radius=spectral_radius, **SCALES)
    block = init.recurrent_block(generator(seed), n)
    assert block.dtype == torch.float64
    assert (block != 0).sum(1).tolist() == [min(num_connections, n)] * n
    assert moduli(block).max().item() == pytest.approx(spectral_radius, rel=1e-10)


def test_sparse_at_the_sizes_of_the_papers():
    block = SparseInit(num_connections=15, spectral_radius=1.1, **SCALES).recurrent_block(generator(), 100)
    assert (block != 0).sum(1).tolist() == [15] * 100
    assert moduli(block).max().item() == pytest.approx(1.1, abs=1e-10)


def test_sparse_draws_sources_and_values_uniformly_and_normally():
    # A row of the matrix before rescaling cannot be seen; ratios within a row are free of the factor.
    init = SparseInit(num_connections=2, spectral_radius=1, **SCALES)
    blocks = torch.stack([init.recurrent_block(generator(seed), 4) for seed in range(1500)])
    chosen = (blocks != 0).double()
    for position in chosen.flatten(1).T:
        assert z_score(position, 2 / 4) < 4.5
    pairs = blocks[blocks != 0].view(-1, 2)
    # The direction of two independent normal values is uniform on the circle.
    assert z_score((pairs[:, 0].abs() < pairs[:, 1].abs()).double(), 0.5) < 4
    assert z_score((pairs.prod(1) > 0).double(), 0.5) < 4
    angle = torch.atan2(pairs[:, 0].abs(), pairs[:, 1].abs())
    assert z_score(angle, math.pi / 4) < 4
    assert z_score((angle - math.pi / 4).square(), math.pi**2 / 48) < 4.5


def test_gaussian_scale_defaults_to_one_over_root_n():
    n = 120
    block = GaussianInit(**SCALES).recurrent_block(generator(), n)
    assert z_score(block, 0) < 4
    assert z_score(block.square(), 1 / n) < 4
    # The circular law; at this size the edge fluctuates by a few hundredths.
    assert moduli(block).max().item() == pytest.approx(1, abs=0.15)


def test_gaussian_takes_its_scale_and_its_spectral_radius():
    drawn = GaussianInit(**SCALES).recurrent_block(generator(), 30)
    scaled = GaussianInit(recurrent_scale=0.3, **SCALES).recurrent_block(generator(), 30)
    torch.testing.assert_close(scaled, drawn * (0.3 * math.sqrt(30)), rtol=1e-14, atol=0)
    rescaled = GaussianInit(recurrent_scale=0.3, spectral_radius=0.7, **SCALES).recurrent_block(generator(), 30)
    assert moduli(rescaled).max().item() == pytest.approx(0.7, abs=1e-10)
    torch.testing.assert_close(rescaled / rescaled[0, 0], drawn / drawn[0, 0], rtol=1e-12, atol=0)


@given(n=SIZES, spectral_radius=st.floats(0.01, 10), seed=st.integers(0, 2**62))
@settings(max_examples=30)
def test_orthogonal_is_orthogonal_times_its_spectral_radius(n, spectral_radius, seed):
    block = OrthogonalInit(spectral_radius=spectral_radius, **SCALES).recurrent_block(generator(seed), n)
    expected = spectral_radius**2 * torch.eye(n, dtype=torch.float64)
    torch.testing.assert_close(block.T @ block, expected, rtol=0, atol=1e-13 * n * spectral_radius**2)
    torch.testing.assert_close(
        moduli(block), torch.full((n,), spectral_radius, dtype=torch.float64), rtol=1e-10, atol=0
    )


def test_orthogonal_is_haar():
    n = 3
    source = generator()
    draws = torch.stack([OrthogonalInit(**SCALES).recurrent_block(source, n) for _ in range(3000)])
    # Moments of the Haar measure of O(n): of entries, of the trace, of the determinant.
    for entry in draws.flatten(1).T:
        assert z_score(entry, 0) < 4.5
        assert z_score(entry.square(), 1 / n) < 4.5
        assert z_score(entry**4, 3 / (n * (n + 2))) < 4.5
    trace = draws.diagonal(dim1=1, dim2=2).sum(1)
    assert z_score(trace, 0) < 4
    assert z_score(trace.square(), 1) < 4
    assert z_score(torch.linalg.det(draws), 0) < 4


def test_identity_is_the_identity_times_its_spectral_radius():
    block = IdentityInit(spectral_radius=0.5, **SCALES).recurrent_block(generator(), 4)
    assert block.dtype == torch.float64
    assert block.tolist() == [[0.5 * (i == j) for j in range(4)] for i in range(4)]


def test_spectral_radius_zero_gives_zero_weights():
    inits = [
        SparseInit(num_connections=2, spectral_radius=0, **SCALES),
        GaussianInit(spectral_radius=0, **SCALES),
        GaussianInit(recurrent_scale=0, spectral_radius=0, **SCALES),
        OrthogonalInit(spectral_radius=0, **SCALES),
        IdentityInit(spectral_radius=0, **SCALES),
    ]
    for init in inits:
        assert init(generator(), layout(5, num_blocks=2))["weight_hh"].abs().max() == 0


def test_weights_of_spectral_radius_zero_cannot_be_rescaled():
    message = "recurrent weights of spectral radius 0 cannot be rescaled to 1.1"
    with pytest.raises(ValueError, match=message):
        GaussianInit(recurrent_scale=0, spectral_radius=1.1, **SCALES)(generator(), layout(5))
    with pytest.raises(ValueError, match=message):
        rescale(torch.tensor([[0.0, 1.0], [0.0, 0.0]]).double(), 1.1)


@pytest.mark.parametrize("init", INITS.values(), ids=INITS)
def test_the_other_parameters_have_their_scales(init):
    # Without weight_hh, whose cost grows as n^3.
    shapes = {k: v for k, v in layout(5000).items() if k != "weight_hh"}
    drawn = init(generator(), shapes)
    scales = {"weight_ih": 0.1, "bias": 0.3, "initial_state": 0.4, "weight_out": 0.2}
    for name, scale in scales.items():
        assert z_score(drawn[name], 0) < 4, name
        assert z_score(drawn[name].square(), scale**2) < 4, name
    assert drawn["bias_out"].tolist() == [0]


@pytest.mark.parametrize("law", INIT_LAWS, ids=lambda law: law.statement)
@pytest.mark.parametrize("init", INITS.values(), ids=INITS)
@pytest.mark.parametrize("model", [SimpleRnn, Lstm])
def test_laws(init, model, law):
    law.check(InitCase(init, model(2, 1, 6)))


def test_stacked_blocks_are_separate_draws_with_the_spectral_radius_each():
    for name in ("sparse", "gaussian_rescaled", "orthogonal"):
        first, second = INITS[name](generator(), layout(6, num_blocks=2))["weight_hh"].split(6)
        assert not torch.equal(first, second)
        assert moduli(first).max().item() == pytest.approx(moduli(second).max().item(), abs=1e-10)
    first, second = INITS["identity"](generator(), layout(6, num_blocks=2))["weight_hh"].split(6)
    assert torch.equal(first, second)


def test_a_spectral_radius_changes_no_other_draw():
    # So replicas that share a seed and differ in the spectral radius start from the same net otherwise.
    for build in (SparseInit, GaussianInit, OrthogonalInit, IdentityInit):
        extra = {"num_connections": 3} if build is SparseInit else {}
        one, other = (build(spectral_radius=radius, **extra, **SCALES)(generator(), layout(6)) for radius in (0.0, 1.2))
        assert all(torch.equal(one[name], other[name]) for name in one if name != "weight_hh")


def test_the_kind_decides_and_not_the_name():
    named = {f"p{k}": parameter for k, parameter in enumerate(layout(6).values())}
    for init in INITS.values():
        for one, other in zip(init(generator(), layout(6)).values(), init(generator(), named).values(), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("init", INITS.values(), ids=INITS)
def test_a_parameter_of_its_own_has_its_own_mean_and_scale(init):
    drawn = init(generator(), {"gain": Parameter((5000,), scale=0.5, mean=2.0), "ones": Parameter((2,), "own", 0, 1)})
    assert z_score(drawn["gain"], 2.0) < 4
    assert z_score((drawn["gain"] - 2).square(), 0.25) < 4
    assert drawn["ones"].tolist() == [1, 1]


@dataclass(frozen=True, kw_only=True)
class Single(IdentityInit):
    """Draws in single precision, by mistake."""

    def recurrent_block(self, generator, hidden_size):
        return torch.eye(hidden_size)


def test_a_block_of_another_type_is_refused():
    with pytest.raises(
        ValueError, match=r"^Single.recurrent_block must return \(6, 6\) of torch.float64, got \(6, 6\) of"
    ):
        Single(**SCALES)(generator(), layout(6))


# What a seed means, forever: the first row of weight_hh, and the last entry of weight_out.
KNOWN = {
    "sparse": ([-0.8687248767568879, 0.2957573957820951, 0, 0, -0.44873850394136094], -0.2607549689540702),
    "gaussian": (
        [-0.2356798380959641, 0.2314528306605714, -0.5808389051752827, -0.34269446964728145, 0.5884203109646713],
        0.14209167055690466,
    ),
    "gaussian_rescaled": (
        [-0.21164285389787094, 0.20784695890616714, -0.5215991513714333, -0.3077430643075869, 0.528407329664439],
        0.14209167055690466,
    ),
    "orthogonal": (
        [-0.2601188651428681, 0.2487449652079213, -0.5917093426388891, -0.721118164202685, -0.01824185767128684],
        0.14209167055690466,
    ),
    "identity": ([1, 0, 0, 0, 0], 0.1385006607421488),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name):
    drawn = INITS[name](generator(2024), layout(5))
    known_row, known_last = KNOWN[name]
    # The generator's bits are exact; libm and LAPACK may differ between machines in the last digits.
    assert drawn["weight_hh"][0].tolist() == pytest.approx(known_row, rel=1e-12)
    assert drawn["weight_out"][0, -1].item() == pytest.approx(known_last, rel=1e-12)


# The parameters of every packaged model from one seed, as sum over k of theta_k cos(k), k = 1 .. P.
KNOWN_SUMS = {
    SimpleRnn: {
        "sparse": -1.1048199278891637,
        "gaussian": 0.0688325773660412,
        "gaussian_rescaled": 0.06654831417506002,
        "orthogonal": 0.6665940718756688,
        "identity": 3.7276521519930435,
        "chain": 2.491710636851092,
    },
    Lstm: {
        "sparse": -8.368691005201173,
        "gaussian": -0.14641338836589535,
        "gaussian_rescaled": -0.8593275383634407,
        "orthogonal": -1.5696734007720692,
        "identity": 20.628663426473565,
        "chain": 12.466248178015299,
    },
    Gru: {
        "sparse": -7.090338289188022,
        "gaussian": -1.3355187152419168,
        "gaussian_rescaled": -1.943676698761081,
        "orthogonal": -0.9954268182767536,
        "identity": 9.06214995932334,
        "chain": 3.708779018657049,
    },
    Latch: {
        "sparse": -2.1334038867618244,
        "gaussian": 0.1974990982683945,
        "gaussian_rescaled": 0.19521483507741283,
        "orthogonal": 0.7952605927780219,
        "identity": 3.8368851859500808,
        "chain": 2.60094367080813,
    },
}


@pytest.mark.parametrize("name", INITS)
@pytest.mark.parametrize("model", KNOWN_SUMS)
def test_a_seed_means_the_same_parameters_forever(model, name):
    net = model(7, 2, 5)
    theta = net.flatten(INITS[name](generator(2024), net.layout))
    weights = torch.arange(1, len(theta) + 1, dtype=torch.float64).cos()
    assert float(theta @ weights) == pytest.approx(KNOWN_SUMS[model][name], abs=1e-11)


@pytest.mark.parametrize(("model", "gate", "num_gates"), [(Lstm, 1, 4), (Gru, 1, 3)])
def test_the_forget_bias_is_added_to_the_gates_that_keep_the_state(model, gate, num_gates):
    plain, raised = (
        IdentityInit(**SCALES, forget_bias=bias)(generator(), model(2, 1, 5).layout) for bias in (0.0, 3.0)
    )
    change = torch.zeros(num_gates, 5, dtype=torch.float64)
    change[gate] = 3
    assert torch.allclose(raised.pop("bias"), plain.pop("bias") + change.flatten())
    assert all(torch.equal(raised[name], value) for name, value in plain.items())


def test_a_forget_bias_without_such_gates_is_refused():
    init = IdentityInit(**SCALES, forget_bias=1.0)
    init.check(Lstm(2, 1, 5))
    with pytest.raises(ValueError, match=r"^init\.forget_bias must be 0 with a model without forget gates, got 1$"):
        init.check(SimpleRnn(2, 1, 5))
    with pytest.raises(ValueError, match=r"^init\.chrono_length must be null with a model without forget gates"):
        IdentityInit(**SCALES, chrono_length=LENGTH).check(SimpleRnn(2, 1, 5))
    with pytest.raises(ValueError, match=r"^init\.chrono_length and init\.forget_bias exclude each other"):
        IdentityInit(**SCALES, chrono_length=LENGTH, forget_bias=1.0).check(Lstm(2, 1, 5))


LENGTH = 100


@pytest.mark.parametrize(("model", "keeps", "admits"), [(Lstm, 1, 0), (Gru, 1, None)])
def test_chrono_draws_time_constants_up_to_its_length(model, keeps, admits):
    n = 400
    init = IdentityInit(**{**SCALES, "bias_scale": 0.0}, chrono_length=LENGTH)
    gates = init(generator(), model(2, 1, n).layout)["bias"].view(-1, n)
    # With a bias of log(u) a gate keeps the state for about u steps; u is uniform (Tallec and Ollivier 2018, eq. 16).
    constants = gates[keeps].exp()
    assert 1 <= constants.min() < constants.max() <= LENGTH - 1
    assert z_score(constants, LENGTH / 2) < 4
    if admits is not None:
        assert torch.equal(gates[admits], -gates[keeps])
    others = [k for k in range(len(gates)) if k not in (keeps, admits)]
    assert not gates[others].any()


def test_chain_passes_the_state_of_each_unit_to_the_next():
    block = ChainInit(gain=2.0, **SCALES).recurrent_block(generator(), 4)
    state = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    for unit in range(4):
        assert state.tolist() == [2.0**unit if k == unit else 0.0 for k in range(4)]
        state = block @ state
    assert not state.any()
    back = ChainInit(gain=0.0, feedback=0.5, **SCALES).recurrent_block(generator(), 4)
    torch.testing.assert_close(back, 0.25 * block.T, rtol=0, atol=0)


@pytest.mark.parametrize("model", [SimpleRnn(3, 2, 50), Lstm(3, 2, 50)])
def test_null_scales_are_those_of_xavier_for_each_gate(model):
    init = GaussianInit(**{**SCALES, "input_scale": None, "output_scale": None})
    drawn = init(generator(), model.layout)
    reference = torch.empty(50, 3, dtype=torch.float64)
    torch.nn.init.xavier_normal_(reference, generator=generator(1))
    assert z_score(drawn["weight_ih"].square(), 2 / (50 + 3)) < 4
    assert z_score(reference.square(), 2 / (50 + 3)) < 4
    assert z_score(drawn["weight_out"].square(), 2 / (50 + 2)) < 4

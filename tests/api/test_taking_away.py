"""`Run.module`: the trained net of a run, wherever its weights lie."""

import sys

import pytest
import torch
from api_runs import SGD

import rnnbench
from rnnbench.losses import LOSSES
from rnnbench.modules.recurrent_net import RecurrentNet
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.probing.net import read_saved_net
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Stream

OWN = """
import torch
from rnnbench.models.cell import Cell
from rnnbench.models.parameters import Parameter

class Mine(Cell):
    def step_layout(self):
        return {"V": Parameter((self.hidden_size, self.hidden_size), "recurrent")}

    def step(self, parameters, state, inputs):
        return (torch.tanh(state[0] @ parameters["V"].mT + inputs.sum(-1, keepdim=True)),)
"""


def test_the_module_computes_the_outputs_of_the_run(here, unusual):
    run = rnnbench.train(*SGD, "hydra.run.dir=run", quiet=True)
    net = run.module()
    unusual()
    assert isinstance(net, RecurrentNet)
    assert net.readout.weight.dtype == torch.float32
    assert torch.equal(net.rnn.weight_hh_l0, run.weights["weight_hh"])
    task = Adding(sequence_length=8)
    batch = task.replica_batch([3], Stream.PROBE, 0, 20)
    expected = Objective(Engine(read_saved_net(run.folder).model), LOSSES["squared_error"], batch).outputs(
        run.theta[None]
    )
    outputs = net(batch.inputs[:, 0].transpose(0, 1))  # at every step
    at_end = outputs[torch.arange(20), batch.lengths[0] - 1]
    torch.testing.assert_close(at_end, expected[0, 0], rtol=0, atol=1e-6)


def test_a_job_of_a_sweep_and_a_class_of_ones_own(here):
    (here / "my/model").mkdir(parents=True)
    (here / "my/taken_away.py").write_text(OWN)
    (here / "my/model/mine.yaml").write_text("# Mine.\nname: mine\n_target_: taken_away.Mine\nhidden_size: 5\n")
    words = [*SGD, "model=mine", "seed=0,1", "hydra.sweep.dir=sweep"]
    sweep = rnnbench.sweep(*words, config_dir="my", quiet=True)
    sys.modules.pop("taken_away")
    uses = rf"uses taken_away.Mine from {here}/my, a class that is not part of rnnbench; if you trust it: "
    with pytest.raises(rnnbench.ConfigError, match=rf"{uses}run\.module\(config_dir='{here}/my'\)$"):
        sweep.runs[1].module()
    with pytest.raises(rnnbench.ConfigError, match=rf"rnnbench\.resume\('{sweep.folder}', 'budget.updates=9', config_"):
        rnnbench.resume(sweep, "budget.updates=9")
    (here / "other").mkdir()
    with pytest.raises(rnnbench.ConfigError, match=rf"config_dir=\['{here}/other', '{here}/my'\]\)$"):
        rnnbench.resume(sweep, "budget.updates=9", config_dir="other")
    assert "taken_away" not in sys.modules
    with pytest.raises(rnnbench.ConfigError, match="there is no folder nope"):
        sweep.runs[1].module(config_dir="nope")
    before = list(sys.path)
    net = sweep.runs[1].module(config_dir="my")
    assert sys.path == before
    assert torch.equal(net.cell.weights["V"], sweep.runs[1].weights["V"])
    assert net(torch.zeros(2, 3, 2)).shape == (2, 3, 1)
    found = rnnbench.diagnose(net, torch.rand(2, 3, 2), lambda outputs: outputs[:, -1].square().mean())
    assert found.state_gradient.shape == (3,)


def test_what_cannot_be_taken_away(here, capsys):
    run = rnnbench.train(*SGD, "hydra.run.dir=run", quiet=True)
    capsys.readouterr()
    (here / "run/checkpoint.pt").write_text("damaged")
    run.module()
    assert "; the previous checkpoint is used, after update 0" in capsys.readouterr().err
    (here / "run/checkpoint.previous.pt").unlink()
    with pytest.raises(rnnbench.RecordError, match=r"checkpoint\.pt is damaged"):
        run.module()

"""Products of Jacobians vanish or explode geometrically, at a rate that other trajectories predict.

Letters: R nets, T steps, b sequences, n units.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobian_products import product_norms
from rnnbench.diagnostics.lyapunov import lyapunov_spectrum
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.fits import fit_lines
from rnnbench.experiments.nets import Nets, read_nets
from rnnbench.experiments.study import Study
from rnnbench.experiments.trajectories import Trajectories, follow
from rnnbench.experiments.verdict import Finding, share_at_least, share_context
from rnnbench.reports.drawing import COLORS, FOREGROUND

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETS_AT_ONCE = 10
"""Number of nets whose Jacobians are in memory at once: 64 MB per net with T = 200, n = 50 and 8 sequences."""

NUM_DRAWN = 6
"""Number of nets of each spectral radius whose curves are drawn."""

GRADIENTS = {"state_gradient": "dL/dh_t", "weight_gradient": "the contribution of step t to the weight gradient"}


class JacobianProducts(Experiment):
    """The claim that products of Jacobians vanish or explode geometrically."""

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: self._measure(study, sweep) for sweep in ("nets", "control")}

    def _measure(self, study: Study, sweep: str) -> dict[str, Any]:
        """Measure all nets of a sweep."""
        (nets,) = read_nets(study.train(sweep))
        slices = [slice(start, start + NETS_AT_ONCE) for start in range(0, len(nets.configs), NETS_AT_ONCE)]
        parts = [study.keep(f"{sweep}_{rows.start}", partial(self._rates, nets, rows)) for rows in slices]
        joined = {name: [value for part in parts for value in part[name]] for name in parts[0]}
        end = self.rule.settings["first_seed"] + NUM_DRAWN
        drawn = [row for row, config in enumerate(nets.configs) if config.seed < end]
        joined["curves"] = [{"row": row, "values": joined["logarithms"][row]} for row in drawn]
        del joined["logarithms"]
        return joined

    def _rates(self, nets: Nets, rows: slice) -> dict[str, Any]:
        """Measure the rates per step of some nets, and the logarithm of the product's norm at every lag."""
        settings = self.rule.settings
        count, seeds = settings["num_sequences"], [config.seed for config in nets.configs][rows]
        theta = nets.theta[rows]
        first = follow(nets.task, nets.model, theta, seeds, count)
        second = follow(nets.task, nets.model, theta, seeds, count, first_row=count)
        exponents = lyapunov_spectrum(first.jacobians(), settings["num_aligning"])[..., 0].mean(-1)
        logarithms = product_norms(second.jacobians()).log_spectral.mean(-1)  # (T + 1, R)
        products = fit_lines(logarithms, *settings["lags"])
        gradients = {
            name: fit_lines(series.flip(0), *settings["lags"]).slope.tolist()
            for name, series in zip(GRADIENTS, _gradient_logarithms(second), strict=True)
        }
        return {
            "spectral_radius": nets.values("init.spectral_radius")[rows],
            "predicted": exponents.tolist(),
            "rate": products.slope.tolist(),
            "straightness": products.straightness.tolist(),
            **gradients,
            "logarithms": logarithms.T.tolist(),
        }

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        nets, control, bound = measured["nets"], measured["control"], self.rule.thresholds["least_share"]
        rates = nets["rate"]
        findings = [
            share_at_least("nets whose products vanish or explode geometrically", self._geometric(nets), bound),
            share_at_least(
                "nets whose rate was predicted from other sequences", self.agree(nets["predicted"], rates), bound
            ),
        ]
        findings += [
            share_at_least(f"nets in which {words} has the rate of the products", self.agree(nets[name], rates), bound)
            for name, words in GRADIENTS.items()
        ]
        neither = [not one for one in self._geometric(control)]
        findings.append(
            share_at_least("orthogonal nets whose products neither vanish nor explode", neither, bound, "control")
        )
        wrong = [not one for one in self.agree(_of_another_radius(nets), rates)]
        findings.append(
            share_at_least("predictions from nets of another spectral radius that fail", wrong, bound, "control")
        )
        exploding = [rate > 0 for rate in rates]
        findings.append(share_context("nets whose products explode", exploding, "rarely"))
        for radius in sorted(set(nets["spectral_radius"])):
            of_radius = zip(self._geometric(nets), nets["spectral_radius"], strict=True)
            geometric = [one for one, own in of_radius if own == radius]
            what = f"nets with initial spectral radius {radius:g} whose products vanish or explode"
            findings.append(share_context(what, geometric, "not judged"))
        return findings

    def _geometric(self, nets: Mapping[str, Any]) -> list[bool]:
        """Return for each net whether ln(norm) changes linearly with the lag, and fast enough."""
        thresholds = self.rule.thresholds
        return [
            abs(rate) >= thresholds["least_rate"] and straightness >= thresholds["least_straightness"]
            for rate, straightness in zip(nets["rate"], nets["straightness"], strict=True)
        ]

    def agree(self, rates: Sequence[float], measured: Sequence[float]) -> list[bool]:
        """Return for each rate whether it agrees with the measured rate of the products."""
        relative, absolute = (self.rule.thresholds[f"{kind}_tolerance"] for kind in ("relative", "absolute"))
        return [
            abs(rate - other) <= absolute + relative * abs(other) for rate, other in zip(rates, measured, strict=True)
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        nets, control = measured["nets"], measured["control"]
        left, right = figure.subplots(1, 2)
        radii = sorted(set(nets["spectral_radius"]))
        for color, radius in zip(COLORS, radii, strict=False):
            rows = [row for row, value in enumerate(nets["spectral_radius"]) if value == radius]
            for curve in nets["curves"]:
                if curve["row"] in rows:
                    left.plot(curve["values"], color=color, alpha=0.5, linewidth=0.8)
            label = f"trained from spectral radius {radius:g}"
            right.plot(*([nets[name][row] for row in rows] for name in ("predicted", "rate")), "o", color=color,
                       markersize=4, alpha=0.7, rasterized=True, label=label)  # fmt: skip
        for curve in control["curves"]:
            left.plot(curve["values"], color=FOREGROUND, linewidth=0.8)
        right.plot(control["predicted"], control["rate"], "s", color=FOREGROUND, markersize=4,
                   label="control: linear and orthogonal")  # fmt: skip
        ends = [*nets["rate"], *nets["predicted"], 0.0]
        right.plot([min(ends), max(ends)], [min(ends), max(ends)], color=FOREGROUND, linewidth=0.8, alpha=0.5)
        left.set(xlabel="lag T - t (steps)", ylabel=r"ln $\|\partial h_T/\partial h_t\|$",
                 title="Products of Jacobians, a line for each net")  # fmt: skip
        right.set(xlabel="Lyapunov exponent, from other sequences", ylabel="measured rate per step",
                  title="Measured rate against its prediction")  # fmt: skip


def _gradient_logarithms(trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """Compute means over b of two ln(norm), (T, R) each.

    The first is that of dL/dh_t, the second that of step t's contribution to the gradient of weight_hh, weight_ih and
    bias.
    """
    gradients, inner = trajectories.state_gradients, trajectories.preactivation_gradients()
    before = torch.cat([trajectories.states[:-1], trajectories.batch.inputs], -1)
    operand = (before.square().sum(-1) + 1).sqrt()  # norm of (h_{t-1}, x_t, 1), a factor of the outer product
    norms = torch.linalg.vector_norm(gradients, dim=-1), torch.linalg.vector_norm(inner, dim=-1) * operand
    return norms[0].log().mean(-1), norms[1].log().mean(-1)


def _of_another_radius(nets: Mapping[str, Any]) -> list[float]:
    """Return for each net the prediction from a net with another spectral radius."""
    radii = sorted(set(nets["spectral_radius"]))
    following = dict(zip(radii, [*radii[1:], radii[0]], strict=True))
    of_radius = {
        radius: [value for value, own in zip(nets["predicted"], nets["spectral_radius"], strict=True) if own == radius]
        for radius in radii
    }
    return [of_radius[following[radius]][row % len(of_radius[following[radius]])]
            for row, radius in enumerate(nets["spectral_radius"])]  # fmt: skip

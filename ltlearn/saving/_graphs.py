"""What surrounds the network in a graph: scaling of inputs and reading of outputs, in torch.

The same as in NumPy in :mod:`ltlearn.data` and :mod:`ltlearn.weighting`, row by row.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ltlearn.data._column_scaling import LIMIT
from ltlearn.estimators._distributions import LEVELS
from ltlearn.weighting._distributions import QuantileDistributions


class PreparedTable(nn.Module):
    """Rows as :class:`~ltlearn.data._inputs.TableInputs` prepares them."""

    def __init__(self, inputs):
        super().__init__()
        exponents = np.broadcast_to(inputs.exponents, inputs.scaler.scale_.shape)
        self.register_buffer("unit", _double(np.ldexp(1.0, -exponents)))
        self.register_buffer("mean", _double(inputs.scaler.mean_))
        self.register_buffer("scale", _double(inputs.scaler.scale_))
        self.power = inputs.power
        self.limit = inputs.limit
        self.largest = float(np.sqrt(np.finfo(np.float64).max))

    def forward(self, X: Tensor) -> Tensor:
        X = (X * self.unit).clamp(-self.largest, self.largest)
        if self.power != 1:
            X = X.sign() * X.abs() ** self.power
        scaled = ((X - self.mean) / self.scale).clamp(-self.limit, self.limit)
        return scaled.float().double()


class PreparedColumns(nn.Module):
    """Rows as :class:`~ltlearn.data._column_scaling.ColumnScaler` prepares them."""

    def __init__(self, scaler):
        super().__init__()
        curves, ramps = scaler._curves, scaler._ramps
        self._put("curve", curves, ("center", "scale"))
        self._put("ramp", ramps, ("low", "high", "mean"))
        self.register_buffer("gaps", _positions(scaler._with_gaps))
        self.coded = [int(j) for j in scaler._places]
        for j, places in scaler._places.items():
            self.register_buffer(f"places_{int(j)}", torch.from_numpy(np.array(places)))

    def _put(self, name, parts, fields):
        self.register_buffer(f"{name}_at", _positions(parts))
        units = [np.ldexp(1.0, -part.unit.exponent) for part in parts.values()]
        self.register_buffer(f"{name}_unit", _double(units))
        for field in fields:
            values = [getattr(part, field) for part in parts.values()]
            self.register_buffer(f"{name}_{field}", _double(values))

    def forward(self, X: Tensor) -> Tensor:
        numbers = X.index_select(1, self.curve_at) * self.curve_unit
        scaled = ((numbers - self.curve_center) / self.curve_scale).clamp(-1e6, 1e6)
        curves = scaled / (1 + (scaled / LIMIT) ** 2).sqrt()
        curves = torch.where(curves.isnan(), 0.0, curves)
        numbers = X.index_select(1, self.ramp_at) * self.ramp_unit
        ramps = ((numbers - self.ramp_low) / (self.ramp_high - self.ramp_low)).clamp(0, 1)
        ramps = torch.where(ramps.isnan(), self.ramp_mean, ramps)
        gaps = X.index_select(1, self.gaps).isnan().double()
        codes = [self._place(X[:, j], getattr(self, f"places_{j}")) for j in self.coded]
        return torch.cat([curves, ramps, gaps, *codes], 1).float().double()

    def _place(self, codes, places):
        unseen, missing = len(places) - 2, len(places) - 1
        is_known = (codes >= 0) & (codes < unseen)
        index = torch.where(is_known, codes, float(unseen))
        index = torch.where(codes.isnan(), float(missing), index)
        return places[index.long()].double().unsqueeze(1)


class ScoreOutputs(nn.Module):
    """From outputs to scores, as an :class:`~ltlearn.ELTARegressor` reads them now."""

    def __init__(self, estimator):
        super().__init__()
        self.loss, self.tail = estimator.loss_, float(estimator.tail)
        self.is_median = estimator.prediction == "median"
        self.mean, self.scale = estimator.score_mean_, estimator.score_scale_
        self.origin, self.unit = estimator._quantile_unit
        if self.loss == "emd":
            self.register_buffer("centers", _double(estimator.bin_centers_))
        weights = estimator._tail_weights
        self.register_buffer("grid", _double(weights.grid))
        self.register_buffer("density", _double(weights.density))
        self.most, self.least = float(weights.most), float(weights.most / weights.max_ratio)
        if self.loss == "quantile":
            self._put_quantiles()

    def _put_quantiles(self):
        """How many nodes lie between quantiles, from the distribution of a row that tells."""
        positions = QuantileDistributions(np.arange(len(LEVELS), dtype=float)[None], LEVELS)
        below = np.minimum(positions.values[0].astype(int), len(LEVELS) - 2)
        share = positions.values[0] - below
        self.register_buffer("below", torch.from_numpy(below))
        self.register_buffer("share", _double(share))
        self.register_buffer("cdf", _double(positions.cdf[0]))

    def forward(self, outputs: Tensor) -> Tensor:
        outputs = outputs.double()
        if self.loss == "mse":
            return self.mean + self.scale * outputs[:, 0]
        return self._of_bins(outputs) if self.loss == "emd" else self._of_quantiles(outputs)

    def _of_bins(self, logits):
        log_share = logits.log_softmax(1)
        if self.tail:
            log_share = log_share + self._log_weight(self.centers)
        share = log_share.softmax(1)
        if not self.is_median:
            return share @ self.centers
        cdf = share.cumsum(1) - share / 2
        return _invert(self.centers.expand_as(cdf), cdf, 0.5)

    def _of_quantiles(self, outputs):
        quantiles = (self.origin + self.unit * outputs).sort(dim=1).values
        values = (1 - self.share) * quantiles[:, self.below]
        values = values + self.share * quantiles[:, self.below + 1]
        cdf = self.cdf.expand_as(values)
        if self.tail:
            cdf = self._turned(values, cdf)
        if self.is_median:
            return _invert(values, cdf.log() - (1 - cdf).log(), 0.0)
        inner = cdf.diff(dim=1) * (values[:, 1:] + values[:, :-1]) / 2
        return cdf[:, 0] * values[:, 0] + inner.sum(1) + (1 - cdf[:, -1]) * values[:, -1]

    def _turned(self, values, cdf):
        log_weight = self._log_weight(values)
        weight = (log_weight - log_weight.amax(1, keepdim=True)).exp()
        inner = cdf.diff(dim=1) * (weight[:, 1:] + weight[:, :-1]) / 2
        below, above = cdf[:, :1] * weight[:, :1], (1 - cdf[:, -1:]) * weight[:, -1:]
        turned = torch.cat([below, inner], 1).cumsum(1)
        return (turned / (turned[:, -1:] + above)).clamp(1e-12, 1 - 1e-12)

    def _log_weight(self, scores):
        density = _interpolate(scores, self.grid, self.density)
        return self.tail * (self.most / density.clamp(min=self.least)).log()


class ClassOutputs(nn.Module):
    """From outputs to probabilities and positions of the likeliest classes, at ``prior``."""

    def __init__(self, estimator):
        super().__init__()
        self.n_classes = len(estimator.classes_)
        self.temperature = float(estimator.temperature_)
        shift = estimator._log_prior(estimator.prior) - estimator.tau_ * estimator._log_share
        self.register_buffer("shift", _double(shift))
        self.register_buffer("balance", _double(estimator._log_balance))

    def forward(self, outputs: Tensor):
        logits = outputs.double()[:, : self.n_classes]
        adjusted = (logits + self.balance) / self.temperature + self.shift
        return adjusted.softmax(1), adjusted.argmax(1)


def _positions(numbers):
    return torch.tensor([int(number) for number in numbers], dtype=torch.long)


def _double(values):
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _interpolate(at, grid, values):
    """As :func:`numpy.interp`."""
    if len(grid) == 1:
        return values.expand_as(at)
    right = (at.unsqueeze(-1) >= grid).sum(-1).clamp(1, len(grid) - 1)
    low, high = grid[right - 1], grid[right]
    share = ((at - low) / (high - low)).clamp(0, 1)
    return (1 - share) * values[right - 1] + share * values[right]


def _invert(values, position, at):
    """Values at a position, linear between the positions (n, A), which do not fall, of theirs."""
    last = values.shape[1] - 1
    above = (position < at).sum(1, keepdim=True)
    lower, upper = (above - 1).clamp(0, last), above.clamp(max=last)
    low, high = position.gather(1, lower), position.gather(1, upper)
    share = ((at - low) / torch.where(high > low, high - low, 1.0)).clamp(0, 1)
    return ((1 - share) * values.gather(1, lower) + share * values.gather(1, upper))[:, 0]

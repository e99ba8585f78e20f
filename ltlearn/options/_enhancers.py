"""Settings of ELTA's enhancers."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal

from ltlearn.options._nesting import Options
from ltlearn.utils._checks import MAX_EXPONENT
from ltlearn.utils._compat import Interval, StrOptions

# Lowest and highest temperature, so that ratios of scores to them fit into float32.
TEMPERATURES = (1e-9, 1e9)


class Enhancers(Options):
    """Options of ELTA's enhancers [1]_, beyond how strong they are.

    Parameters
    ----------
    tail_temperature : float, default=0.5
        τ1 of tail feature augmentation: the smaller, the more the anchors of mixup come from the
        tail.
    pair_temperature : float, default=2.0
        τ2 of tail feature augmentation: the larger, the closer in score the partners of mixup.
    temperature_unit : "std" or float, default="std"
        Unit of the differences between scores that the two temperatures and ``sharpening`` apply
        to: the deviation of the training scores, or a number in units of the score. 1.0 gives the
        published setting on scores from 1 to 10.
    sampler : {"distance", "density"}, default="distance"
        What makes a row an anchor of mixup: the distance of its score from the mean of the batch,
        by ``tail_temperature``; or, as in ELTA 2.0, how rare its score is among the training rows,
        by ``density_power``. See :class:`ltlearn.enhancers.DensitySampler`.
    density_power : float, default=10.0
        α of ``sampler="density"``: anchors are drawn in proportion to the density to the power -α.
    head_retraining_epochs : int, default=0
        After training, freeze the backbone and train a fresh head for this many epochs.
    self_training_rounds : int, default=1
        Rounds of self-training when ``X_unlabeled`` is given. Every round trains from the start
        with as many updates an epoch as the training without unlabeled rows.
    sharpening : float or "auto", default="auto"
        β of adaptive sharpening. ``"auto"`` chooses it on the held-out labeled rows.
    confidence_threshold : float or "auto", default="auto"
        Least sharpened probability of the likeliest bin for an unlabeled row to be used.
        ``"auto"`` chooses it on the held-out labeled rows.
    own : list of callables, default=None
        Enhancers of one's own, see :class:`ltlearn.enhancers.Batch`; they act after mixup.
        ``ELTARegressor(enhancers=[...])`` is short for ``Enhancers(own=[...])``.

    References
    ----------
    .. [1] Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models", ICML
       2024, PMLR 235:31106-31118.

    Examples
    --------
    >>> from ltlearn import ELTARegressor
    >>> from ltlearn.options import Enhancers
    >>> model = ELTARegressor(mixup_strength=0.25, enhancers=Enhancers(tail_temperature=0.1))
    >>> model.get_params()["enhancers__tail_temperature"]
    0.1
    """

    _parameter_constraints: dict = {
        "tail_temperature": [Interval(Real, *TEMPERATURES, closed="both")],
        "pair_temperature": [Interval(Real, *TEMPERATURES, closed="both")],
        "temperature_unit": [StrOptions({"std"}), Interval(Real, 0, None, closed="neither")],
        "sampler": [StrOptions({"distance", "density"})],
        "density_power": [Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "head_retraining_epochs": [Interval(Integral, 0, None, closed="left")],
        "self_training_rounds": [Interval(Integral, 0, None, closed="left")],
        "sharpening": [StrOptions({"auto"}), Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "confidence_threshold": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "own": [list, tuple, None],
    }

    def __init__(
        self,
        *,
        tail_temperature: float = 0.5,
        pair_temperature: float = 2.0,
        temperature_unit: float | Literal["std"] = "std",
        sampler: Literal["distance", "density"] = "distance",
        density_power: float = 10.0,
        head_retraining_epochs: int = 0,
        self_training_rounds: int = 1,
        sharpening: float | Literal["auto"] = "auto",
        confidence_threshold: float | Literal["auto"] = "auto",
        own: Sequence[Callable[..., Any]] | None = None,
    ) -> None:
        self.tail_temperature = tail_temperature
        self.pair_temperature = pair_temperature
        self.temperature_unit = temperature_unit
        self.sampler = sampler
        self.density_power = density_power
        self.head_retraining_epochs = head_retraining_epochs
        self.self_training_rounds = self_training_rounds
        self.sharpening = sharpening
        self.confidence_threshold = confidence_threshold
        self.own = own

    @classmethod
    def of(cls, value: Any) -> Any:
        return cls(own=value) if isinstance(value, list | tuple) else super().of(value)

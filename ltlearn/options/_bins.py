"""Score bins of a predicted distribution."""

from numbers import Integral, Real
from typing import Literal

from ltlearn.options._nesting import Options
from ltlearn.utils._checks import MAX_EXPONENT
from ltlearn.utils._compat import Interval, StrOptions

# A distribution over more bins takes much memory a row and says nothing more.
MAX_SCORE_BINS = 10_000


class Bins(Options):
    """Options of the score bins that ``loss="emd"`` predicts a distribution over.

    Parameters
    ----------
    n_bins : int or "auto", default="auto"
        Bins of scalar scores; ``"auto"`` is 20. Distributions bring their own.
    score_range : (float, float), default=None
        Scores of the first and last bin. Default: 1 and K for distributions over K bins, the range
        of the training scores for scalars. Predictions stay within it. Also the range of
        ``architecture.head="sigmoid"``.
    logit_adjustment : float, default=0.0
        Multiple of the smoothed log prior of the bins that is added to the logits in training and
        dropped at prediction; for scalar scores only.
    emd_form : {"sample", "batch"}, default="sample"
        Where the earth mover's distance takes its root: for every sample, or as ELTA's published
        code once over the batch, so that samples far off count more. See
        :class:`ltlearn.losses.EMDLoss`.

    Examples
    --------
    >>> from ltlearn import ELTARegressor
    >>> from ltlearn.options import Bins
    >>> model = ELTARegressor(loss="emd", bins=Bins(n_bins=10, score_range=(1, 10)))
    >>> model.get_params()["bins__n_bins"]
    10
    """

    _parameter_constraints: dict = {
        "n_bins": [StrOptions({"auto"}), Interval(Integral, 2, MAX_SCORE_BINS, closed="both")],
        "score_range": ["array-like", None],
        "logit_adjustment": [Interval(Real, 0, MAX_EXPONENT, closed="both")],
        "emd_form": [StrOptions({"sample", "batch"})],
    }

    def __init__(
        self,
        *,
        n_bins: int | Literal["auto"] = "auto",
        score_range: tuple[float, float] | None = None,
        logit_adjustment: float = 0.0,
        emd_form: Literal["sample", "batch"] = "sample",
    ) -> None:
        self.n_bins = n_bins
        self.score_range = score_range
        self.logit_adjustment = logit_adjustment
        self.emd_form = emd_form

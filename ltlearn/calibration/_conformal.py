"""Conformal prediction intervals around any regressor."""

import math
import warnings
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ltlearn.calibration._held_out import HeldOutCalibrator, unwrap_validation
from ltlearn.calibration._ladder import Ladder
from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.calibration._predictive import can, predictions
from ltlearn.calibration._score_bands import band_edges, band_of
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import LabelBands
from ltlearn.metrics._fitted import scores_for
from ltlearn.metrics._scores import as_scores
from ltlearn.utils._compat import HasMethods, Interval, StrOptions, _fit_context
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole

_LEVEL = Interval(Real, 0, 1, closed="neither")
_ENOUGH_ROWS = 200
_MAX_CELLS = 2**22  # of a matrix of test rows and held-out rows


class ConformalRegressor(HeldOutCalibrator):
    """A regressor with prediction intervals of known coverage.

    An interval at confidence level c holds the label of a new row with probability at least c,
    whatever the regressor and the data, as long as new rows and held-out rows come from one
    distribution. That holds on average over rows; so that it does not come from the head alone,
    intervals are calibrated by themselves in each band of the *predicted* score (Mondrian
    conformal prediction [1]_), and their widths follow the errors made there. It cannot hold by
    bands of the true label, which nobody knows at prediction: rows whose label is rare for their
    prediction are those that an interval misses.

    With validation rows this is split conformal prediction [2]_: of the conformity scores of n
    held-out rows the one of rank ⌈(n + 1) c⌉ says how wide intervals must be. Without, it is the
    cross-conformal CV+ [3]_: every row is held out once, and the intervals combine the predictions
    of the regressors of all folds. Coverage is then close to c, and with one band at
    least 2c − 1 (less what vanishes with the number of rows a fold) in the worst case.

    The conformity score of a row is its absolute residual. Of a regressor that has
    ``predict_quantiles(X, levels)``, returning (n_samples, n_levels), and that is given one label
    a row, it is how central an interval between its quantiles must be to hold the label
    [4]_, and beyond its outermost quantiles the distance from them [5]_. The width then differs
    from row to row within a band, too.

    Parameters
    ----------
    estimator : regressor
        Any scikit-learn regressor. Wrap one that is fitted already in
        :class:`sklearn.frozen.FrozenEstimator` and pass rows to ``fit`` that it has not seen.
    confidence_level : float, default=0.9
        Share of the new rows whose label the intervals should hold.
    cv : int, splitter, iterable or None, default=None
        The folds when ``fit`` gets no ``X_val``; a number of folds (None: 5) means
        :class:`~ltlearn.model_selection.BinnedStratifiedKFold`. Every row is held out at most
        once. ``estimator`` is fitted once per fold, and these fits are kept, and once more on all
        data, for ``predict``.
    n_bands : int or "auto", default="auto"
        Most bands of the predicted score, of about equal numbers of held-out rows. ``"auto"`` is
        as many as leave 200 rows to each, at most 10; 1 makes no difference between rows.
    n_jobs : int, default=None
        Number of folds fitted in parallel, as in :class:`joblib.Parallel`.

    Attributes
    ----------
    estimator_ : regressor
        Fitted on all training data.
    fold_estimators_ : list of regressors
        Those that held-out rows were predicted by: one a fold, or ``estimator_`` alone.
    conformity_scores_ : list of ndarray
        For each of them, the scores of the rows it was not fitted to; the smaller, the better.
    band_edges_ : ndarray of shape (n_bands - 1,)
        Borders between the bands of the predicted score.
    n_held_out_ : ndarray of shape (n_bands,)
        Held-out rows in each band.
    label_bands_ : LabelBands
        Many, medium and few by the density of the training labels.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    DistributionCalibrator : Calibrates predicted quantiles and distributions at all levels.
    Recalibrator : Calibrates the predictions themselves.

    Notes
    -----
    What does not count as held out: rows that the regressor was fitted to, chosen on, or stopped
    early by. Where validation rows are spread over the labels differently from those to come, as
    a validation set that is balanced over the label, coverage refers to rows like the former.

    Given a band's held-out rows, coverage there is a draw from the distribution
    Beta(r, n + 1 − r) with rank r: of 200 rows at a level of 0.9, nine of ten fits cover between
    86 % and 93 %.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", Springer
       2005, section 4.5.
    .. [2] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman, "Distribution-Free
       Predictive Inference for Regression", JASA 113, 2018, theorem 2.2.
    .. [3] R. F. Barber, E. J. Candès, A. Ramdas and R. J. Tibshirani, "Predictive Inference with
       the Jackknife+", Annals of Statistics 49, 2021, theorem 4.
    .. [4] V. Chernozhukov, K. Wüthrich and Y. Zhu, "Distributional Conformal Prediction", PNAS
       118, 2021.
    .. [5] Y. Romano, E. Patterson and E. Candès, "Conformalized Quantile Regression", NeurIPS
       2019, equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from ltlearn.calibration import ConformalRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(3000, 2))
    >>> y = np.exp(X[:, 0]) * (1 + 0.3 * rng.normal(size=3000))
    >>> model = ConformalRegressor(Ridge()).fit(X[:2000], y[:2000])
    >>> low, high = model.predict_interval(X[2000:]).T
    >>> print(f"{np.mean((low <= y[2000:]) & (y[2000:] <= high)):.2f}")
    0.90
    >>> model.predict_interval([[0.0, 0.0], [2.0, 0.0]]).round(1)
    array([[ 0.5,  2.8],
           [-0.2,  9.3]])
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "confidence_level": [_LEVEL],
        "cv": ["cv_object"],
        "n_bands": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        confidence_level: float = 0.9,
        cv: Any = None,
        n_bands: int | Literal["auto"] = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.confidence_level = confidence_level
        self.cv = cv
        self.n_bands = n_bands
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: RowsLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: RowsLike = None,
        y_val: ArrayLike | Whole | None = None,
        **fit_params: Any,
    ) -> "ConformalRegressor":
        """Fit the regressor and learn from held-out rows how wide intervals must be.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels, or score distributions for an estimator that takes them; the intervals are then
            for their expected scores.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights for the regressor. Coverage is counted over rows as they come,
            whatever they weigh, but for rows of weight 0, which count as absent.
        X_val, y_val : array-like, default=None
            Held-out data, instead of folds. Wrap them in :class:`ltlearn.Whole` when they have
            as many rows as ``X``.
        **fit_params : dict
            Passed to ``estimator.fit``; with metadata routing, routed to it and to ``cv``.

        Returns
        -------
        self : ConformalRegressor

        Raises
        ------
        TypeError
            When ``sample_weight`` is given and ``estimator`` does not take it.
        ValueError
            When only one of ``X_val`` and ``y_val`` is given, ``cv`` holds out a row twice, or
            there are fewer held-out rows, overall or in one of ``n_bands`` bands, than
            c / (1 − c), without which no finite interval has confidence level c.

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 held-out rows.
        """
        X, y, sample_weight = check_training_data(self, X, y, sample_weight, dtype="numeric")
        as_scores(y, "y")  # errors here and not in the middle of a fit
        X_val, y_val = unwrap_validation(X, y, X_val, y_val)
        routed = route(self, sample_weight, fit_params)
        self._check_enough(len(y) if y_val is None else len(y_val))  # before the long part

        self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        self._has_quantiles = y.ndim == 1 and can(self.estimator_, "predict_quantiles")
        describe = partial(_describe, has_quantiles=self._has_quantiles)
        parts, labels = self._held_out(describe, X, y, sample_weight, X_val, y_val, routed)
        self.fold_estimators_ = [estimator for estimator, _, _ in parts]
        self.conformity_scores_ = [
            ladder.scores(scores) for (_, _, ladder), scores in zip(parts, labels, strict=True)
        ]
        self._learn_bands([predicted for _, predicted, _ in parts])
        self.label_bands_ = LabelBands.from_density(scores_for(self.estimator_, y))
        take_feature_attributes(self)
        return self

    def _check_enough(self, n_rows):
        n_needed = rows_needed(self.confidence_level)
        n_bands = 1 if self.n_bands == "auto" else self.n_bands
        if n_rows // n_bands < n_needed:
            raise ValueError(
                f"{n_rows} held-out rows in {n_bands} band{'s' * (n_bands > 1)} are too few for "
                f"confidence_level={self.confidence_level:g}, which needs {n_needed} in each: "
                "intervals would be infinite. Hold out more rows, or lower confidence_level or "
                "n_bands."
            )

    def _learn_bands(self, predicted):
        n_rows = sum(map(len, predicted))
        self._check_enough(n_rows)
        n_needed = rows_needed(self.confidence_level)
        self.band_edges_ = band_edges(np.concatenate(predicted), self.n_bands, n_needed)
        self._bands = [band_of(scores, self.band_edges_) for scores in predicted]
        self.n_held_out_ = np.bincount(
            np.concatenate(self._bands), minlength=len(self.band_edges_) + 1
        )
        if n_rows < _ENOUGH_ROWS:
            rank = _rank(n_rows, self.confidence_level)
            low, high = beta.ppf([0.05, 0.95], rank, n_rows + 1 - rank)
            warnings.warn(
                f"Intervals are calibrated on {n_rows} held-out rows: nine of ten such fits cover "
                f"between {low:.0%} and {high:.0%} of new rows, where confidence_level="
                f"{self.confidence_level:g}. About {_ENOUGH_ROWS} rows narrow that down.",
                SmallSampleWarning,
                stacklevel=4,
            )

    def predict(self, X: RowsLike) -> np.ndarray:
        """Predict with the regressor that was fitted on all training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        predictions : ndarray of shape (n_samples,)
            In the unit of the label.
        """
        check_is_fitted(self)
        return predictions(self.estimator_, X)

    def predict_interval(self, X: RowsLike, confidence_level: float | None = None) -> np.ndarray:
        """Prediction intervals.

        Those of a higher level hold those of a lower one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        confidence_level : float, default=None
            Between 0 and 1; None takes that of the constructor.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2)
            Lower and upper ends, finite, in the unit of the label. They hold the prediction, or of
            an estimator with ``predict_quantiles`` its median.

        Raises
        ------
        ValueError
            When a band has too few held-out rows for ``confidence_level``.
        """
        check_is_fitted(self)
        level = self.confidence_level if confidence_level is None else confidence_level
        self._check_level(level)
        return self._intervals(X, [level])[..., 0]

    def _intervals(self, X, levels):
        """Intervals (n_samples, 2, n_levels) at several confidence levels."""
        _, predicted, ladder = _describe(self.estimator_, X, self._has_quantiles)
        ladders = [
            ladder
            if estimator is self.estimator_
            else _describe(estimator, X, self._has_quantiles)[-1]
            for estimator in self.fold_estimators_
        ]
        center = ladder.lower[:, 0]
        intervals = np.empty((len(center), 2, len(levels)))
        for band, rows in _rows_by_band(band_of(predicted, self.band_edges_)):
            scores = [
                scores[bands == band]
                for scores, bands in zip(self.conformity_scores_, self._bands, strict=True)
            ]
            part = [ladder.take(rows) for ladder in ladders]
            for number, level in enumerate(levels):
                low, high = _combine(part, scores, _rank(self.n_held_out_[band], level))
                # At a low level the folds may disagree so much that no point is in the interval.
                intervals[rows, 0, number] = np.minimum(low, center[rows])
                intervals[rows, 1, number] = np.maximum(high, center[rows])
        return intervals

    def _check_level(self, level):
        if not _LEVEL.is_satisfied_by(level):
            raise ValueError(f"confidence_level must be between 0 and 1, got {level!r}.")
        n_least, n_needed = np.min(self.n_held_out_), rows_needed(level)
        if n_least < n_needed:
            raise ValueError(
                f"confidence_level={level:g} needs {n_needed} held-out rows in every band of the "
                f"predicted score; the smallest has {n_least}. Lower the level, hold out more "
                "rows, or fit with a smaller n_bands."
            )


def rows_needed(level):
    """Least number n of held-out rows for which ⌈(n + 1) level⌉ is one of their ranks."""
    about = round(level / (1 - level))
    candidates = range(max(1, about - 1), about + 2)
    return next((n for n in candidates if _rank(n, level) <= n), about + 2)


def _rank(n_rows, level):
    """⌈(n + 1) level⌉, without the error of a product such as 10 · 0.9."""
    return math.ceil((n_rows + 1) * level * (1 - 1e-15))


def _describe(estimator, X, has_quantiles):
    """The estimator, and the predictions and the ladder it makes of ``X``."""
    predicted = predictions(estimator, X)
    if has_quantiles:
        return estimator, predicted, Ladder.from_quantiles(estimator, X)
    return estimator, predicted, Ladder.from_predictions(predicted)


def _rows_by_band(bands):
    return [(band, np.flatnonzero(bands == band)) for band in np.unique(bands)]


def _combine(ladders, scores, rank):
    """Lower and upper ends of the intervals of rows (n,).

    Every held-out row proposes the interval that the estimator of its fold makes at the height of
    its score. The ends are those of the given rank, counted outward. With one estimator that is
    its interval at the score of that rank.
    """
    if len(ladders) == 1:
        height = np.partition(scores[0], rank - 1)[rank - 1 : rank]
        low, high = ladders[0].ends(height)
        return low[:, 0], high[:, 0]
    n_rows = len(ladders[0].lower)
    step = max(1, _MAX_CELLS // sum(map(len, scores)))
    low, high = np.empty(n_rows), np.empty(n_rows)
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        proposals = [
            ladder.take(part).ends(of_fold) for ladder, of_fold in zip(ladders, scores, strict=True)
        ]
        lower, upper = (np.concatenate(ends, axis=1) for ends in zip(*proposals, strict=True))
        low[part] = -np.partition(-lower, rank - 1, axis=1)[:, rank - 1]
        high[part] = np.partition(upper, rank - 1, axis=1)[:, rank - 1]
    return low, high

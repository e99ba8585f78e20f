"""Predicted distributions that mean what they say."""

import warnings
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ltlearn.calibration._held_out import HeldOutCalibrator, unwrap_validation
from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.calibration._predicted_cdf import PredictedCDF, bin_centers, bin_edges, is_available
from ltlearn.calibration._predictive import can, predictions
from ltlearn.calibration._score_bands import band_edges, band_of
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import LabelBands
from ltlearn.metrics._scores import as_scores
from ltlearn.utils._compat import HasMethods, Interval, StrOptions, _fit_context, available_if
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole

_ENOUGH_ROWS = 200


def _predicts_bins(calibrator):
    estimator = getattr(calibrator, "estimator_", calibrator.estimator)
    if not can(estimator, "predict_distribution"):
        raise AttributeError(
            f"{type(estimator).__name__} has no predict_distribution to calibrate."
        )
    return True


class DistributionCalibrator(HeldOutCalibrator):
    """A regressor whose predicted distributions are calibrated on held-out data.

    Of a calibrated distribution function F(y | x), the values u = F(y | x) at the labels of new
    rows are spread evenly over [0, 1]: three of ten labels lie below the predicted quantile of
    level 0.3. The distributions that networks learn by earth mover's distance, and quantiles of
    regressors that overfit, are too narrow. Recalibration [1]_ takes the distribution function R of
    u over held-out rows and predicts R(F(y | x)).

    This is done by bands of the predicted score, so that the tail is calibrated by rows that are
    predicted to lie there. It holds for all levels at once, approximately; for intervals
    with a guarantee at one level, from any regressor, see :class:`ConformalRegressor`. A predicted
    distribution cannot be stretched beyond its outermost quantiles or bins: labels that lie
    outside are counted, but where they are more than a level leaves room for, the quantile of
    that level stays at the end.

    Parameters
    ----------
    estimator : regressor
        One that has, when fitted to one label a row, ``predict_quantiles(X, levels)``, returning
        (n_samples, n_levels), or ``predict_distribution(X)``, returning shares
        (n_samples, n_bins) of bins with increasing scores ``bin_centers_``. Wrap one that is fitted
        already in :class:`sklearn.frozen.FrozenEstimator` and pass rows to ``fit`` that it has not
        seen.
    cv : int, splitter, iterable or None, default=None
        The folds when ``fit`` gets no ``X_val``; a number of folds (None: 5) means
        :class:`~ltlearn.model_selection.BinnedStratifiedKFold`. Every row is held out at most
        once. ``estimator`` is fitted once per fold and once more on all data.
    n_bands : int or "auto", default="auto"
        Most bands of the predicted score, of about equal numbers of held-out rows, each with a
        map of its own. ``"auto"`` is as many as leave 200 rows to each, at most 10.
    n_jobs : int, default=None
        Number of folds fitted in parallel, as in :class:`joblib.Parallel`.

    Attributes
    ----------
    estimator_ : regressor
        Fitted on all training data.
    band_edges_ : ndarray of shape (n_bands - 1,)
        Borders between the bands of the predicted score.
    pit_ : list of ndarray
        By band, the sorted u of the held-out rows, their probability integral transforms.
    bin_centers_ : ndarray of shape (n_bins,)
        Scores of the bins, if ``estimator_`` has bins.
    label_bands_ : LabelBands
        Many, medium and few by the density of the training labels.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    ConformalRegressor : Intervals with a guarantee, from any regressor.

    Notes
    -----
    Between quantiles, asked for at 57 levels from 0.001 to 0.999, and within bins, which are cut
    halfway between their scores, the distribution function is taken for linear.

    References
    ----------
    .. [1] V. Kuleshov, N. Fenner and S. Ermon, "Accurate Uncertainties for Deep Learning Using
       Calibrated Regression", ICML 2018, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn import ELTARegressor
    >>> from ltlearn.calibration import DistributionCalibrator
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(3000, 2))
    >>> y = np.exp(X[:, 0] + 0.5 * rng.normal(size=3000))
    >>> model = ELTARegressor(loss="emd", max_epochs=10, random_state=0)
    >>> model = DistributionCalibrator(model).fit(
    ...     X[:1200], y[:1200], X_val=X[1200:2000], y_val=y[1200:2000]
    ... )
    >>> low, high = model.predict_quantiles(X[2000:], [0.05, 0.95]).T
    >>> print(f"{np.mean((low <= y[2000:]) & (y[2000:] <= high)):.1f}")
    0.9
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "cv": ["cv_object"],
        "n_bands": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        cv: Any = None,
        n_bands: int | Literal["auto"] = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
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
    ) -> "DistributionCalibrator":
        """Fit the regressor and the maps.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights for the regressor. The maps count rows as they come, whatever they
            weigh, but for rows of weight 0, which count as absent.
        X_val, y_val : array-like, default=None
            Held-out data for the maps, instead of folds. Wrap them in :class:`ltlearn.Whole` when
            they have as many rows as ``X``.
        **fit_params : dict
            Passed to ``estimator.fit``; with metadata routing, routed to it and to ``cv``.

        Returns
        -------
        self : DistributionCalibrator

        Raises
        ------
        TypeError
            When ``estimator`` predicts neither quantiles nor distributions, or ``sample_weight``
            is given and ``estimator`` does not take it.
        ValueError
            When ``y`` holds score distributions, only one of ``X_val`` and ``y_val`` is given, or
            ``cv`` holds out a row twice.

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 held-out rows.
        """
        X, y, sample_weight = check_training_data(self, X, y, sample_weight, dtype="numeric")
        if y.ndim == 2:
            raise ValueError(
                f"y has {y.shape[1]} columns. What is calibrated is the predicted distribution of "
                "one label a row; of a score distribution, or of several targets, a row would "
                "have to be many rows."
            )
        as_scores(y, "y")  # errors here and not in the middle of a fit
        X_val, y_val = unwrap_validation(X, y, X_val, y_val)
        routed = route(self, sample_weight, fit_params)

        self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        if not is_available(self.estimator_):
            raise TypeError(
                f"{type(self.estimator_).__name__} has neither predict_quantiles nor "
                "predict_distribution with bin_centers_. ConformalRegressor takes any regressor."
            )
        parts, labels = self._held_out(_describe, X, y, sample_weight, X_val, y_val, routed)
        predicted = np.concatenate([predicted for predicted, _ in parts])
        pit = np.concatenate(
            [cdf.at(part[:, None])[:, 0] for (_, cdf), part in zip(parts, labels, strict=True)]
        )
        if len(pit) < _ENOUGH_ROWS:
            warnings.warn(
                f"Distributions are calibrated on {len(pit)} held-out rows; about {_ENOUGH_ROWS} "
                "are needed before they can be trusted.",
                SmallSampleWarning,
                stacklevel=3,
            )
        self.band_edges_ = band_edges(predicted, self.n_bands, min_rows=1)
        bands = band_of(predicted, self.band_edges_)
        self.pit_ = [np.sort(pit[bands == band]) for band in range(len(self.band_edges_) + 1)]
        self.label_bands_ = LabelBands.from_density(y)
        take_feature_attributes(self)
        return self

    @property
    def bin_centers_(self):
        check_is_fitted(self)
        centers = bin_centers(self.estimator_)
        if centers is None:
            raise AttributeError(f"{type(self.estimator_).__name__} has no bins.")
        return centers

    def predict(self, X: RowsLike) -> np.ndarray:
        """Predict with the regressor as it is.

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

    def predict_quantiles(self, X: RowsLike, levels: ArrayLike) -> np.ndarray:
        """Calibrated quantiles.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        levels : array-like of shape (n_levels,)
            Each between 0 and 1.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_levels)
            In the unit of the label; column j is the quantile of ``levels[j]``.

        Raises
        ------
        ValueError
            When a level is not between 0 and 1.
        """
        check_is_fitted(self)
        levels = _check_levels(levels)
        predicted, cdf = _describe(self.estimator_, X)
        wanted = np.empty((len(predicted), len(levels)))
        for rows, u, shares in self._maps(predicted):
            wanted[rows] = np.interp(levels, shares, u)
        return cdf.inverse(wanted)

    @available_if(_predicts_bins)
    def predict_distribution(self, X: RowsLike) -> np.ndarray:
        """Calibrated distributions over the score bins ``bin_centers_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.

        Returns
        -------
        distributions : ndarray of shape (n_samples, n_bins)
            Rows sum to 1.
        """
        check_is_fitted(self)
        predicted, cdf = _describe(self.estimator_, X)
        inner = bin_edges(self.bin_centers_)[1:-1]
        levels = cdf.at(np.broadcast_to(inner, (len(predicted), len(inner))))
        for rows, u, shares in self._maps(predicted):
            levels[rows] = np.interp(levels[rows], u, shares)
        return np.diff(levels, axis=1, prepend=0.0, append=1.0)

    def _maps(self, predicted):
        """By band: which rows are in it, and R as values of u and the shares of rows up to them."""
        bands = band_of(predicted, self.band_edges_)
        for band, u in enumerate(self.pit_):
            shares = np.arange(len(u) + 2) / (len(u) + 1)
            yield bands == band, np.r_[0.0, u, 1.0], shares


def _check_levels(levels):
    values = np.asarray(levels)
    is_number = values.dtype.kind in "iuf"
    if not (is_number and values.ndim == 1 and np.all((values > 0) & (values < 1))):
        raise ValueError(f"levels must be a sequence of numbers between 0 and 1, got {levels!r}.")
    return values


def _describe(estimator, X):
    """Predictions of ``X`` and the distribution functions."""
    return predictions(estimator, X), PredictedCDF.of(estimator, X)

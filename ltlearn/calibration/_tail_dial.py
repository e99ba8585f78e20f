"""The dial alone, for any regressor that predicts a distribution."""

from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

from ltlearn.calibration._meta import check_training_data, route, take_feature_attributes
from ltlearn.calibration._quantile_sources import predicted_quantiles
from ltlearn.metrics import LabelBands
from ltlearn.utils._compat import HasMethods, Interval, StrOptions, _fit_context, _safe_indexing
from ltlearn.utils._typing import RowsLike
from ltlearn.weighting._dialed import DialedPredictions
from ltlearn.weighting._distributions import QuantileDistributions
from ltlearn.weighting._tail import TailWeights


class TailDial(RegressorMixin, MetaEstimatorMixin, DialedPredictions, BaseEstimator):
    """A regressor whose predicted distributions can be turned to rare scores after the fit.

    Regressors fitted to long-tailed labels predict rare ones too close to the middle, since few
    training rows say otherwise. With the predicted density :math:`q(y \\mid x)` and the smoothed
    density p of the training labels, the mean or median is read off

    .. math:: q_\\alpha(y \\mid x) \\propto q(y \\mid x)\\,
        \\min\\big(p_{\\max} / p(y),\\ 200\\big)^{\\alpha}

    so that one fit gives the whole trade of overall error for error on rare labels that training
    weights need a fit each for. :class:`~ltlearn.ELTARegressor` has this built in;
    :class:`~ltlearn.model_selection.TunedTailCV` chooses α within a budget of overall error.

    Parameters
    ----------
    estimator : regressor
        One with ``predict_quantiles(X, levels)``; with ``predict(X, quantiles=levels)``, as
        quantile forests have it; one whose ``predict`` gives a column a level, as CatBoost's with
        the loss ``MultiQuantile``; or any other inside a :class:`ConformalRegressor`, whose
        intervals make a distribution that is the same on both sides of the prediction. Wrap one
        that is fitted already in :class:`sklearn.frozen.FrozenEstimator` and pass its training
        labels to ``fit``.
    tail : float, default=0.0
        α. 0 leaves distributions as they are; 0.25 to 0.5 trade some overall error for less error
        on rare labels. May be changed after ``fit``.
    prediction : {"mean", "median"}, default="mean"
        What ``predict`` reads off a distribution: the mean has the least squared error, the median
        the least absolute error. May be changed after ``fit``.
    levels : array-like of shape (n_levels,), default=None
        Levels of the columns that ``predict`` of ``estimator`` gives, each between 0 and 1. None
        reads them off the loss of CatBoost; other kinds of regressors need none.

    Attributes
    ----------
    estimator_ : regressor
        Fitted on the training data.
    label_bands_ : LabelBands
        Many, medium and few by the density of the training labels.
    n_features_in_ : int
        Number of features, if ``estimator_`` has it.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``estimator_`` has them.

    See Also
    --------
    ltlearn.model_selection.TunedTailCV : Chooses ``tail``.
    LogitAdjuster : The counterpart for classifiers.

    Notes
    -----
    Between its quantiles, which are asked for at 57 levels from 0.001 to 0.999, a distribution is
    linear in the logit of the level; what lies beyond them sits on the outermost. A dial can
    therefore turn no prediction further than its outermost quantile, and with few levels the mean
    is rough.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from ltlearn.calibration import ConformalRegressor, TailDial
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 1))
    >>> y = np.exp(X[:, 0] + rng.normal(size=1000))
    >>> model = TailDial(ConformalRegressor(Ridge()), prediction="median").fit(X, y)
    >>> rare = y > np.quantile(y, 0.95)
    >>> def error(tail, rows):
    ...     return np.abs(model.predict(X[rows], tail=tail) - y[rows]).mean()
    >>> bool(error(0.5, rare) < error(0.0, rare)), bool(error(0.5, ~rare) > error(0.0, ~rare))
    (True, True)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "tail": [Interval(Real, 0, None, closed="left")],
        "prediction": [StrOptions({"mean", "median"})],
        "levels": ["array-like", None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        tail: float = 0.0,
        prediction: Literal["mean", "median"] = "mean",
        levels: ArrayLike | None = None,
    ) -> None:
        self.estimator = estimator
        self.tail = tail
        self.prediction = prediction
        self.levels = levels

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: RowsLike, y: ArrayLike, sample_weight: ArrayLike | None = None, **fit_params: Any
    ) -> "TailDial":
        """Fit the regressor and the density of the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data, of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights for the regressor and the density.
        **fit_params : dict
            Passed, or with metadata routing routed, to ``estimator.fit``.

        Returns
        -------
        self : TailDial

        Raises
        ------
        TypeError
            When ``estimator`` predicts no distribution, or ``sample_weight`` is given and
            ``estimator`` does not take it.
        ValueError
            When ``y`` holds score distributions, all rows weigh 0, or ``levels`` are not as many
            as the columns that ``estimator`` predicts.
        """
        X, y, sample_weight = check_training_data(self, X, y, sample_weight, dtype="numeric")
        if y.ndim == 2:
            raise ValueError(
                f"y has {y.shape[1]} columns. The dial turns the predicted distribution of one "
                'label a row; for score distributions, use ELTARegressor(loss="emd").'
            )
        self._check_levels()
        y = y.astype(np.float64)
        counted = np.arange(len(y)) if sample_weight is None else np.flatnonzero(sample_weight)
        weight = None if sample_weight is None else sample_weight[counted]
        routed = route(self, sample_weight, fit_params)
        self.estimator_ = clone(self.estimator).fit(X, y, **routed.estimator.fit)
        # A regressor without a distribution is found out here.
        predicted_quantiles(self.estimator_, _safe_indexing(X, counted[:1]), self.levels)
        self._tail_weights = TailWeights(y[counted], weight)
        self.label_bands_ = LabelBands.from_density(y[counted])
        take_feature_attributes(self)
        return self

    def _check_levels(self):
        levels = np.asarray([0.5] if self.levels is None else self.levels)
        is_number = levels.dtype.kind in "iuf"
        if not (is_number and levels.ndim == 1 and np.all((levels > 0) & (levels < 1))):
            raise ValueError(f"levels must be numbers between 0 and 1, got {self.levels!r}.")
        if len(np.unique(levels)) < len(levels):
            raise ValueError(f"levels must differ from one another, got {self.levels!r}.")

    def _distributions(self, X):
        values, levels = predicted_quantiles(self.estimator_, X, self.levels)
        return lambda rows: QuantileDistributions(values[rows], levels), len(values)

    def get_metadata_routing(self) -> MetadataRouter:
        """Routing of metadata to ``estimator``.

        Returns
        -------
        routing : MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=to_fit)
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

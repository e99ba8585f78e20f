"""A stack of unlike regressors for a long tail of scores."""

import warnings
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import LabelBands
from ltlearn.splitting import BinnedStratifiedKFold
from ltlearn.stacking._built_in_regressors import built_in_regressors
from ltlearn.stacking._columns import TableEncoder
from ltlearn.stacking._distribution_head import (
    DistributionHead,
    as_nodes,
    describe,
    residual_quantiles,
)
from ltlearn.stacking._folds import fit_all, predict_held_out
from ltlearn.stacking._pooling import best_weights, crps_matrix, pool
from ltlearn.stacking._rows import (
    check_scored_rows,
    check_scored_validation,
    score_folds,
)
from ltlearn.stacking._stack import STACK, BaseStack
from ltlearn.utils._compat import Interval, StrOptions, _fit_context, _num_samples
from ltlearn.utils._random import draw_seed
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole
from ltlearn.weighting._dialed import DialedPredictions
from ltlearn.weighting._distributions import QuantileDistributions
from ltlearn.weighting._tail import TailWeights

_N_BINS = 20


class TailStackingRegressor(RegressorMixin, DialedPredictions, BaseStack):
    """Unlike regressors whose predicted distributions become one, which can be turned to the tail.

    Regressors that err differently are worth more together than the best of them alone. Every head
    predicts a distribution for rows that it was not fitted to; the mixture of these, with weights
    that are not negative and sum to 1, is the one that has the least continuous ranked probability
    score [1]_ there. Then the heads are fitted again to all rows. Of the mixture the mean or the
    median is read, and ``tail`` turns it to rare scores after the fit: its density is multiplied by
    that of the training scores to the power -``tail``.

    Parameters
    ----------
    heads : "auto" or list of (str, regressor), default="auto"
        ``"auto"`` takes a network, :class:`~ltlearn.ELTARegressor`, a random forest that keeps the
        labels in its leaves [2]_, and ridge regression; on embeddings, which are taken to be tables
        of more than 128 numeric columns, no forest. These take numbers, and in data frames also
        categories, with gaps in both. A list takes regressors of your own, which get X as it is:
        with ``predict_quantiles(X, levels)``, or with ``predict`` alone, to which the errors of
        held-out rows are added for a distribution. Settings of theirs are reached as
        ``name__parameter``.
    prediction : {"mean", "median"}, default="mean"
        What ``predict`` reads off a distribution: the mean has the least squared error, the median
        the least absolute error. May be changed after ``fit``.
    tail : float, default=0.0
        Exponent α of the weights ``min(max(p) / p, 200) ** α`` by which the density of predicted
        distributions is multiplied, with the smoothed density p of the training scores, see
        :func:`ltlearn.weighting.label_density`. 0 leaves them as they are; 0.25 to 0.5 trade some
        overall error for less error on rare scores. May be changed after ``fit``.
    cv : "auto", int, splitter or iterable, default="auto"
        Folds, or how rows are held out where ``fit`` gets no ``X_val``. ``"auto"`` is three folds
        below 2,000 rows, else a fifth of the rows held out once; a number takes
        :class:`~ltlearn.model_selection.BinnedStratifiedKFold`, shuffled.
    n_jobs : int, default=None
        Heads and folds fitted at the same time.
    random_state : int, RandomState instance or None, default=None
        Deals rows out to the folds, and seeds all heads whose own ``random_state`` is None.

    Attributes
    ----------
    heads_ : dict of str to regressor
        Heads that count, fitted to all rows.
    weights_ : dict of str to float
        Share of each head in the mixture; 0 for heads that are left out.
    held_out_loss_ : dict of str to float
        Mean continuous ranked probability score of held-out rows, of each head alone and of the
        ``"stack"``. Empty where no row could be held out.
    bin_centers_ : ndarray of shape (20,)
        Scores of the bins of ``predict_distribution``, over the range of the training scores.
    label_bands_ : ltlearn.metrics.LabelBands
        Many-, medium- and few-shot bands of the training scores.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, when X has string column names.

    See Also
    --------
    TailStackingClassifier : The counterpart for classes.
    ltlearn.model_selection.TunedTailCV : Chooses ``tail``.

    Notes
    -----
    Distributions are held as 49 quantiles. The mixture's distribution function is the weighted mean
    of the heads', and its score a quadratic form of the weights, whose minimum is found exactly.
    Held-out rows see heads of fewer rows than those that predict in the end. Errors that are added
    to plain predictions are the same for all rows.

    References
    ----------
    .. [1] Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA
       2007, equation 20.
    .. [2] Meinshausen, "Quantile Regression Forests", JMLR 2006.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from ltlearn import TailStackingRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> heads = [("ridge", Ridge(0.1)), ("neighbors", KNeighborsRegressor(20))]
    >>> model = TailStackingRegressor(heads, random_state=0).fit(X[:300], y[:300])
    >>> round(sum(model.weights_.values()), 6)
    1.0
    >>> model.predict_interval(X[300:303], 0.9).shape
    (3, 2)
    >>> (model.predict(X[300:], tail=0.5).std() > model.predict(X[300:]).std()).item()
    True
    """

    _kinds_of_heads = ("auto",)
    _kind_of_estimator = "regressor"
    _parameter_constraints: dict = {
        "heads": [StrOptions(set(_kinds_of_heads)), list],
        "prediction": [StrOptions({"mean", "median"})],
        "tail": [Interval(Real, 0, None, closed="left")],
        "cv": [StrOptions({"auto"}), "cv_object"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        heads: Literal["auto"] | list[tuple[str, Any]] = "auto",
        *,
        prediction: Literal["mean", "median"] = "mean",
        tail: float = 0.0,
        cv: Any = "auto",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.heads = heads
        self.prediction = prediction
        self.tail = tail
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

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
    ) -> "TailStackingRegressor":
        """Fit the heads and their weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, or a data frame with categories among its columns; NaN and missing categories
            are gaps. A list of heads gets X as it is, of any kind that they take.
        y : array-like of shape (n_samples,)
            Scores.
        sample_weight : array-like of shape (n_samples,), default=None
            For the heads, their weights in the mixture and the density of the scores. Rows of
            weight 0 are left out.
        X_val, y_val : array-like, default=None
            Rows to weigh the heads by, instead of some held out from X; the heads are then fitted
            once, to X, and the network stops by these rows. Wrap both in :class:`ltlearn.Whole` if
            there are as many as rows of X.
        **fit_params : dict
            With metadata routing, routed to the heads of a list and to ``cv``.

        Returns
        -------
        self : TailStackingRegressor

        Raises
        ------
        TypeError
            When ``sample_weight`` is given and a head does not take it.
        ValueError
            For inputs that cannot be trained on; the message says what to change.

        Warns
        -----
        SmallSampleWarning
            When there are too few rows to hold any out: all heads then count the same.
        """
        X_passed = X
        X = self._validate_X(X, reset=True)
        rows, used = check_scored_rows(self, X, y, sample_weight)
        validate = partial(self._validate_X, reset=False)
        valid = check_scored_validation(self, X_val, y_val, X_passed, y, validate)
        routed, n_passed = self._route(sample_weight, fit_params), _num_samples(X)
        generator = check_random_state(self.random_state)
        estimators, encoders = self._unfitted_heads(rows)
        heads = {
            name: DistributionHead(
                estimator,
                encoders.get(name),
                seed=draw_seed(generator),
                params=routed[name].fit,
                used=used,
                n_passed=n_passed,
            )
            for name, estimator in estimators.items()
        }
        if valid is None:
            groups = routed.splitter.split.get("groups")
            groups = None if groups is None else np.asarray(groups)[used]
            folds = score_folds(self.cv, rows, used, generator, groups)
            self._weigh_by_folds(heads, rows, folds)
            jobs = {name: partial(heads[name].fit, rows) for name in self._used}
            self.heads_ = fit_all(jobs, n_jobs=self.n_jobs)
        else:
            jobs = {name: partial(head.fit, rows, valid) for name, head in heads.items()}
            fitted = fit_all(jobs, n_jobs=self.n_jobs)
            described = {
                name: describe(fitted[name], head.encoded(valid.X)) for name, head in heads.items()
            }
            self._weigh(described, valid)
            self.heads_ = {name: fitted[name] for name in self._used}
        self._encoders = {name: encoders.get(name) for name in self.heads_}
        self.bin_centers_ = np.linspace(rows.y.min(), rows.y.max(), _N_BINS)
        self.label_bands_ = LabelBands.from_density(rows.y)
        self._tail_weights = TailWeights(rows.y, rows.weight)
        return self

    def predict_distribution(self, X: RowsLike, *, tail: float | None = None) -> np.ndarray:
        """Predict distributions over the score bins ``bin_centers_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of the same kind as in ``fit``.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.

        Returns
        -------
        distributions : ndarray of shape (n_samples, 20)
            Probabilities of the scores nearest to each center; rows sum to 1.
        """
        check_is_fitted(self)
        edges = (self.bin_centers_[1:] + self.bin_centers_[:-1]) / 2

        def read(predicted):
            return np.diff(predicted.cdf_at(edges), axis=1, prepend=0, append=1)

        return self._read_off(X, self._check_tail(tail), read)

    @property
    def _used(self):
        return [name for name, weight in self.weights_.items() if weight > 0]

    def _unfitted_heads(self, rows):
        """Unfitted heads by name, and what encodes X for those that do not take it as it is."""
        if not isinstance(self.heads, str):
            return self._listed_heads(), {}
        encoder = TableEncoder(rows.X)
        n_columns = encoder(rows.take([0]).X).shape[1]
        heads, take_tables = built_in_regressors(n_columns, encoder.has_categories)
        return heads, {name: encoder for name in heads if name not in take_tables}

    def _weigh_by_folds(self, heads, rows, folds):
        if folds:
            jobs = {name: partial(head.hold_out, rows) for name, head in heads.items()}
            held_out = predict_held_out(jobs, folds, n_jobs=self.n_jobs)
            described = {name: values for name, (values,) in held_out.predictions.items()}
            self._weigh(described, rows.take(held_out.rows))
            return
        warnings.warn(
            f"No row can be held out of {len(rows.y)}, so all heads count the same, and plain "
            "predictions stand without a spread. Label more rows.",
            SmallSampleWarning,
            stacklevel=3,
        )
        self.weights_ = dict.fromkeys(heads, 1 / len(heads))
        self.held_out_loss_ = {}
        self._residuals = dict.fromkeys(heads)

    def _weigh(self, described, rows):
        """Learn the weights from what heads say of held-out rows."""
        self._residuals = {
            name: residual_quantiles(values, rows.y, rows.weight)
            for name, values in described.items()
        }
        parts = [as_nodes(values, self._residuals[name]) for name, values in described.items()]
        matrix = crps_matrix(parts, rows.y, rows.weight)
        weights = best_weights(matrix)
        self.weights_ = dict(zip(described, weights.tolist(), strict=True))
        self.held_out_loss_ = dict(zip(described, np.diag(matrix).tolist(), strict=True))
        if len(parts) > 1:
            self.held_out_loss_[STACK] = float(weights @ matrix @ weights)

    def _distributions(self, X):
        check_is_fitted(self)
        X = self._validate_X(X, reset=False)
        encoded = {}
        described = {}
        for name, head in self.heads_.items():
            encoder = self._encoders[name]
            if encoder not in encoded:
                encoded[encoder] = X if encoder is None else encoder(X)
            described[name] = describe(head, encoded[encoder])
        weights = [self.weights_[name] for name in self.heads_]

        def pooled(rows):
            parts = [
                as_nodes(values[rows], self._residuals[name]) for name, values in described.items()
            ]
            return QuantileDistributions.of_nodes(*pool(parts, weights))

        return pooled, _num_samples(X)

    def _check_head(self, name, head):
        if not (hasattr(head, "fit") and hasattr(head, "predict")):
            raise TypeError(f"The head {name!r} is no regressor: it needs fit and predict.")

    def _default_splitter(self):
        return BinnedStratifiedKFold(2)

"""A head that chooses its settings, and how far to trust its scores, by held-out rows."""

from abc import ABC, abstractmethod
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn.stacking._folds import predict_held_out
from ltlearn.stacking._rows import check_auxiliary, check_rows, class_folds, scale_rows
from ltlearn.utils._compat import StrOptions, _fit_context
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._random import draw_seed
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole
from ltlearn.weighting._factors import Factors, center, fit_factors, with_unknown
from ltlearn.weighting._prior import log_prior


class TunedHead(ClassifierMixin, BaseEstimator, ABC):
    """Validation, choice of settings, prediction; subclasses say how one setting is fitted.

    A setting has a ``power``, and subclasses a parameter ``n_components``, which together say on
    what scale rows are seen. A model of a setting has a method ``scores`` from rows (n, r) on this
    scale to (n, K), log densities or logits at balanced classes.
    """

    _parameter_constraints: dict = {
        "calibrate": ["boolean"],
        "cv": ["cv_object"],
        "prior": [StrOptions({"balanced", "train"}), "array-like"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    @abstractmethod
    def _settings(self, n_features):
        """Settings to choose from: a list of dicts of parameters, simplest last."""

    @abstractmethod
    def _fit_scaled(self, rows, auxiliary, settings, seed):
        """Models of settings of one power fitted to rows on their scale, in the same order."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: RowsLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_aux: RowsLike = None,
        y_aux: ArrayLike | Whole | None = None,
    ) -> Any:
        """Choose the settings by held-out rows and fit to all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers.
        y : array-like of shape (n_samples,)
            Target classes: numbers or strings.
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 2 counts as two rows. Rows of weight 0 are left out.
        X_aux : array-like of shape (n_auxiliary_samples, n_features), default=None
            Rows of other classes. Wrap it in :class:`ltlearn.Whole` for cross-validation, which
            otherwise slices it along with X whenever it has as many rows.
        y_aux : array-like of shape (n_auxiliary_samples,), default=None
            Auxiliary classes, none of which is in ``y``. Wrap it likewise.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For inputs that cannot be trained on; the message says what to change.
        """
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        rows, self.classes_, used = check_rows(self, X, y, sample_weight)
        check = partial(validate_data, self, dtype=[np.float64, np.float32], reset=False)
        auxiliary = check_auxiliary(X_aux, y_aux, X, self.classes_, check)
        rows, auxiliary = scale_rows(rows, auxiliary)
        log_prior(self.prior, np.log(rows.counts))
        generator = check_random_state(self.random_state)
        seed = draw_seed(generator)
        settings = self._settings(X.shape[1])

        chosen, factors, loss = settings[-1], Factors(np.ones(1), 0.0), np.nan
        folds = []
        if self.calibrate or len(settings) > 1:
            folds = class_folds(self.cv, rows, used, generator)
        if folds:
            job = partial(self._hold_out, rows, auxiliary, settings, seed)
            held_out = predict_held_out({"": job}, folds, n_jobs=self.n_jobs)
            seen = rows.take(held_out.rows)
            best, losses = choose_setting(held_out.predictions[""], seen)
            chosen, loss = settings[best], losses[best]
            if self.calibrate:
                scores = held_out.predictions[""][best][None]
                factors = fit_factors(scores, seen.balanced, np.log(rows.counts))
        self.held_out_loss_ = loss
        return self._fit_chosen(rows, auxiliary, chosen, seed, factors)

    def _fit_chosen(self, rows, auxiliary, setting, seed, factors):
        """Fit one setting to scaled rows of all classes."""
        (self._model,) = self._fit_settings(rows, auxiliary, [setting], seed)
        self._scaler = rows.X.scalers(setting["power"], self.n_components)
        self._factors = factors
        for name, value in setting.items():
            setattr(self, f"{name}_", value)
        self.factor_, self.tau_ = float(factors.head[0]), factors.tau
        self.class_counts_ = np.bincount(rows.codes, minlength=rows.n_classes)
        self._log_counts = np.log(rows.counts)
        return self

    def _fit_settings(self, rows, auxiliary, settings, seed):
        """Models of the settings fitted to scaled rows, in the same order."""
        models = [None] * len(settings)
        for power in dict.fromkeys(setting["power"] for setting in settings):
            own = [i for i, setting in enumerate(settings) if setting["power"] == power]
            scale = power, self.n_components
            at_scale = rows._replace(X=rows.X.at(*scale))
            extra = None if auxiliary is None else auxiliary._replace(X=auxiliary.X.at(*scale))
            fitted = self._fit_scaled(at_scale, extra, [settings[i] for i in own], seed)
            for i, model in zip(own, fitted, strict=True):
                models[i] = model
        return models

    def _hold_out(self, rows, auxiliary, settings, seed, train, test):
        """Scores (len(test), K) of held-out rows in every setting."""
        part, rest = rows.take(train), rows.take(test).X
        known, codes = np.unique(part.codes, return_inverse=True)
        part = part._replace(codes=codes, n_classes=len(known))
        models = self._fit_settings(part, auxiliary, settings, seed)
        scores = [
            model.scores(rest.at(setting["power"], self.n_components))
            for model, setting in zip(models, settings, strict=True)
        ]
        return [center(with_unknown(each, known, rows.n_classes)) for each in scores]

    def _balanced_scores(self, X):
        """Scores (n, K) at balanced classes, before the factor and τ."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return center(self._model.scores(self._scaler(X)))

    def predict_proba(self, X: RowsLike) -> np.ndarray:
        """Predict probabilities of the target classes at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Rows sum to 1; columns in the order of ``classes_``.
        """
        scores = self._balanced_scores(X)
        logits = self._factors.pool(scores[None], self._log_counts)
        return softmax(logits + self._log_prior(), axis=1)

    def predict(self, X: RowsLike) -> np.ndarray:
        """Predict classes: the likeliest one at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @property
    def prediction_prior_(self):
        check_is_fitted(self)
        return softmax(self._log_prior())

    def _log_prior(self):
        share = self._log_counts - np.log(np.exp(self._log_counts).sum())
        return log_prior(self.prior, share)


def choose_setting(scores, rows):
    """The setting whose scores, at their best temperature, give the rows the least loss.

    Parameters
    ----------
    scores : list of ndarray of shape (n, K)
        Of each setting.
    rows : Rows
        The held-out rows, in the order of the scores.

    Returns
    -------
    best : int
    losses : list of float
        Class-balanced cross-entropy of each setting.
    """
    log_counts = np.zeros(rows.n_classes)
    losses = []
    for values in scores:
        factors = fit_factors(values[None], rows.balanced, log_counts, with_tau=False)
        losses.append(rows.balanced.loss(factors.pool(values[None], log_counts)))
    return int(np.argmin(losses)), losses


def grid_of(value, choices, name, low, high):
    """Values of a parameter that may be "auto", a number or a sequence of numbers.

    Raises
    ------
    ValueError
        When a sequence is empty or holds something outside of ``[low, high]``.
    """
    if isinstance(value, str):
        return list(choices)
    values = list(np.atleast_1d(value))
    if not values or not all(isinstance(v, Real) and low <= v <= high for v in values):
        raise ValueError(
            f'{name} must be "auto", or one or several numbers from {low:.3g} to {high:.3g}; got '
            f"{value!r}."
        )
    return [float(v) for v in values]

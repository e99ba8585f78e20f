"""A stack of unlike classifiers for a long tail of classes."""

import warnings
from functools import partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ltlearn.exceptions import SmallSampleWarning
from ltlearn.splitting import RareClassStratifiedKFold
from ltlearn.stacking._built_in import built_in_heads
from ltlearn.stacking._columns import TableEncoder
from ltlearn.stacking._folds import fit_all, predict_held_out
from ltlearn.stacking._head import Head
from ltlearn.stacking._rows import check_auxiliary, check_rows, class_folds, scale_rows
from ltlearn.stacking._scores import balanced_scores
from ltlearn.stacking._stack import STACK, BaseStack
from ltlearn.stacking._tuned import choose_setting
from ltlearn.utils._compat import (
    StrOptions,
    _fit_context,
    _num_samples,
)
from ltlearn.utils._random import draw_seed
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import Whole
from ltlearn.weighting._factors import Factors, fit_factors, leave_one_out_losses
from ltlearn.weighting._prior import log_prior


class TailStackingClassifier(ClassifierMixin, BaseStack):
    """Unlike classifiers, each at balanced classes, weighed by held-out rows of all classes alike.

    Classifiers that err differently are worth more together than the best of them alone, on a long
    tail above all. Every head predicts rows that it was not fitted to, in folds that keep rare
    classes in training. Its scores are referred to balanced classes; then factors of the heads, not
    negative, and a multiple τ of the log class counts are chosen that give these rows the least
    class-balanced cross-entropy, and the heads are fitted again to all rows. Where a single head
    predicts held-out rows clearly better than the stack, by a standard error, it is all that is
    kept.

    Parameters
    ----------
    heads : {"auto", "fast", "full"} or list of (str, classifier), default="auto"
        ``"auto"`` takes heads by the kind of data: on tables extra trees, logistic regression and a
        small network; on embeddings, which are taken to be tables of more than 128 numeric columns,
        logistic regression, :class:`PLDAClassifier` and a network with feature mixup. ``"fast"``
        is the strongest cheap head alone, extra trees or logistic regression, with τ chosen by
        held-out rows; ``"full"`` adds to tables a forest, boosting and PLDA. These heads take
        numbers, and in data frames also categories, with gaps in both. A list takes classifiers of
        your own with ``predict_proba``, which get X as it is; settings of theirs are reached as
        ``name__parameter``.
    cv : int, splitter or iterable, default=3
        Folds, or how rows are held out; a number takes
        :class:`~ltlearn.model_selection.RareClassStratifiedKFold`, shuffled.
    prior : {"balanced", "train"} or array-like of shape (n_classes,), default="balanced"
        Class shares that predictions refer to: all the same, those of the training rows, or
        positive numbers of your own in the order of ``classes_``. May be changed by ``set_params``
        after fitting.
    n_jobs : int, default=None
        Heads and folds fitted at the same time.
    random_state : int, RandomState instance or None, default=None
        Deals rows out to the folds, and seeds all heads whose own ``random_state`` is None.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    class_counts_ : ndarray of shape (n_classes,)
        Rows of each class, those of weight 0 not.
    heads_ : dict of str to classifier
        Heads that count, fitted to all rows.
    factors_ : dict of str to float
        How much each head counts, next to its ``temperatures_``; 0 for heads that are left out.
    temperatures_ : dict of str to float
        What the scores of each head are divided by, so that alone they give held-out rows the least
        class-balanced cross-entropy.
    tau_ : float
        Multiple of the log class counts that is taken off the sum of the scores.
    settings_ : dict of str to dict
        Settings that held-out rows chose for heads which leave them open.
    held_out_loss_ : dict of str to float
        Class-balanced cross-entropy of held-out rows, of each head alone and of the ``"stack"``,
        each row under factors and τ fitted to all other rows. Empty where no row could be held out.
    prediction_prior_ : ndarray of shape (n_classes,)
        Class shares that probabilities refer to.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, when X has string column names.

    See Also
    --------
    PLDAClassifier, TailLogisticClassifier : Heads, usable alone.
    ltlearn.calibration.LogitAdjuster : Logit adjustment of one classifier.

    Notes
    -----
    With the scores :math:`s_h` of the heads, the counts n of the classes in training and the shares
    :math:`\\rho` of ``prior``,

    .. math:: p(k \\mid x) \\propto \\rho_k \\exp\\Big(\\sum_h a_h s_{hk} / T_h
        - \\tau \\log n_k\\Big)

    Scores of a head are its log probabilities less the log class shares that they refer to [1]_:
    its ``prediction_prior_`` if it has one, else the shares in training. A probability of 0 counts
    as one vote in forests and among neighbors, but no class is lifted beyond its share. The loss is
    convex in the factors and τ. Gaussian priors pull τ towards 0, by a deviation of 0.5, and the
    factors of several heads towards equal shares, by 0.3, which matters where rare classes have few
    rows. Held-out rows see heads of fewer rows than those that predict in the end, which moves τ
    slightly towards the tail. Heads on embeddings see 256 principal components of standardized
    columns, computed once for all heads and folds.

    References
    ----------
    .. [1] Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, equation 9.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from ltlearn import TailStackingClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> rare = np.flatnonzero(y == 8)[6:]
    >>> train = np.setdiff1d(np.arange(0, len(y), 2), rare)
    >>> model = TailStackingClassifier(heads="fast", random_state=0).fit(X[train], y[train])
    >>> list(model.heads_)
    ['extra trees']
    >>> model.set_params(prior="train").predict_proba(X[rare[:2]]).shape
    (2, 10)
    """

    _kinds_of_heads = ("auto", "fast", "full")
    _kind_of_estimator = "classifier"
    _parameter_constraints: dict = {
        "heads": [StrOptions(set(_kinds_of_heads)), list],
        "cv": ["cv_object"],
        "prior": [StrOptions({"balanced", "train"}), "array-like"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        heads: Literal["auto", "fast", "full"] | list[tuple[str, Any]] = "auto",
        *,
        cv: Any = 3,
        prior: Literal["balanced", "train"] | ArrayLike = "balanced",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.heads = heads
        self.cv = cv
        self.prior = prior
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: RowsLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_aux: RowsLike = None,
        y_aux: ArrayLike | Whole | None = None,
        **fit_params: Any,
    ) -> "TailStackingClassifier":
        """Fit the heads and what they count.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, or a data frame with categories among its columns; NaN and missing categories
            are gaps. A list of heads gets X as it is, of any kind that they take.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            For the heads, the factors and the class counts. Rows of weight 0 are left out.
        X_aux : array-like of shape (n_auxiliary_samples, n_features), default=None
            Rows of other classes, for heads that can use them. Wrap it in :class:`ltlearn.Whole`
            for cross-validation, which otherwise slices it along with X whenever it has as many
            rows.
        y_aux : array-like of shape (n_auxiliary_samples,), default=None
            Auxiliary classes, none of which is in ``y``. Wrap it likewise.
        **fit_params : dict
            With metadata routing, routed to the heads of a list and to ``cv``.

        Returns
        -------
        self : TailStackingClassifier

        Raises
        ------
        TypeError
            When ``sample_weight`` is given and a head does not take it.
        ValueError
            For inputs that cannot be trained on; the message says what to change.

        Warns
        -----
        SmallSampleWarning
            When no row can be held out, because every class has only one: all heads then count
            the same.
        """
        X = self._validate_X(X, reset=True)
        rows, self.classes_, used = check_rows(self, X, y, sample_weight)
        log_counts = np.log(rows.counts)
        log_prior(self.prior, log_counts)
        validate = partial(self._validate_X, reset=False)
        auxiliary = check_auxiliary(X_aux, y_aux, X, self.classes_, validate)
        routed, n_passed = self._route(sample_weight, fit_params), _num_samples(X)
        self._encoder = None
        if isinstance(self.heads, str):
            self._encoder = TableEncoder(rows.X)
            rows = rows._replace(X=self._encoder(rows.X))
            if auxiliary is not None:
                auxiliary = auxiliary._replace(X=self._encoder(auxiliary.X))
        generator = check_random_state(self.random_state)
        heads = {
            name: Head(
                estimator,
                self.classes_,
                seed=draw_seed(generator),
                params=routed[name].fit,
                used=used,
                n_passed=n_passed,
            )
            for name, estimator in self._unfitted_heads(rows).items()
        }
        groups = routed.splitter.split.get("groups")
        groups = None if groups is None else np.asarray(groups)[used]
        folds = class_folds(self.cv, rows, used, generator, groups)
        inputs = dict.fromkeys(heads, (rows, auxiliary))
        tuned = [name for name, head in heads.items() if head.is_tuned]
        if tuned:
            inputs |= dict.fromkeys(tuned, scale_rows(rows, auxiliary))
        chosen = self._weigh(heads, inputs, rows, folds, log_counts)
        self.heads_ = fit_all(
            {
                name: partial(heads[name].fit, rows.X, *inputs[name], chosen[name])
                for name in self._used(chosen)
            },
            n_jobs=self.n_jobs,
        )
        self.settings_ = {name: setting for name, setting in chosen.items() if setting}
        self.class_counts_ = np.bincount(rows.codes, minlength=rows.n_classes)
        self._counts = rows.counts
        return self

    def _used(self, names):
        """Heads that count; at least one, even where all know nothing."""
        return [name for name in names if self.factors_[name] > 0] or list(names)[:1]

    def _weigh(self, heads, inputs, rows, folds, log_counts):
        """Learn what each head counts; returns the settings chosen for it."""
        settings = {name: head.settings(np.shape(rows.X)[-1]) for name, head in heads.items()}
        if not folds:
            warnings.warn(
                "No row can be held out, because every class has only one, so all heads count the "
                "same. Label more rows.",
                SmallSampleWarning,
                stacklevel=3,
            )
            self.factors_ = dict.fromkeys(heads, 1 / len(heads))
            self.temperatures_, self.tau_ = dict.fromkeys(heads, 1.0), 0.0
            self.held_out_loss_ = {}
            return {name: settings[name][-1] for name in heads}
        held_out = predict_held_out(
            {name: partial(head.hold_out, *inputs[name]) for name, head in heads.items()},
            folds,
            n_jobs=self.n_jobs,
        )
        seen = rows.take(held_out.rows)
        balanced = seen.balanced
        chosen, scores, self.temperatures_ = {}, {}, {}
        for name in heads:
            best, _ = choose_setting(held_out.predictions[name], seen)
            chosen[name] = settings[name][best]
            values = held_out.predictions[name][best]
            alone = fit_factors(values[None], balanced, log_counts, with_tau=False)
            scores[name] = values * alone.head[0]
            self.temperatures_[name] = float(1 / alone.head[0]) if alone.head[0] else np.inf
        losses = {
            name: leave_one_out_losses(values[None], balanced, log_counts)
            for name, values in scores.items()
        }
        self.held_out_loss_ = {name: float(balanced.weights @ losses[name]) for name in heads}
        best = min(heads, key=self.held_out_loss_.get)
        used = list(heads)
        if len(heads) > 1:
            stacked = leave_one_out_losses(
                np.stack(list(scores.values())), balanced, log_counts, shared=True
            )
            self.held_out_loss_[STACK] = float(balanced.weights @ stacked)
            if is_clearly_worse(stacked, losses[best], balanced.weights):
                used = [best]
        values = np.stack([scores[name] for name in used])
        factors = fit_factors(values, balanced, log_counts, shared=len(used) > 1)
        self.factors_ = dict.fromkeys(heads, 0.0)
        self.factors_ |= dict(zip(used, factors.head.tolist(), strict=True))
        self.tau_ = factors.tau
        return chosen

    def predict_proba(self, X: RowsLike) -> np.ndarray:
        """Predict probabilities of the classes at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of the same kind as in ``fit``.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Rows sum to 1; columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        X = self._validate_X(X, reset=False)
        X = X if self._encoder is None else self._encoder(X)
        scores = np.stack(
            [
                balanced_scores(head, X, self.classes_, self._counts) / self.temperatures_[name]
                for name, head in self.heads_.items()
            ]
        )
        factors = Factors(np.array([self.factors_[name] for name in self.heads_]), self.tau_)
        return softmax(factors.pool(scores, np.log(self._counts)) + self._log_prior(), axis=1)

    def predict(self, X: RowsLike) -> np.ndarray:
        """Predict classes: the likeliest one at the class shares of ``prior``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of the same kind as in ``fit``.

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
        return log_prior(self.prior, log_softmax(np.log(self._counts)))

    def _unfitted_heads(self, rows):
        if isinstance(self.heads, str):
            return built_in_heads(self.heads, *rows.X.shape, self._encoder.has_categories)
        return self._listed_heads()

    def _check_head(self, name, head):
        if not (hasattr(head, "fit") and hasattr(head, "predict_proba")):
            raise TypeError(
                f"The head {name!r} has no predict_proba: take a classifier that has, or wrap "
                "it in sklearn.calibration.CalibratedClassifierCV."
            )

    def _default_splitter(self):
        return RareClassStratifiedKFold(2)


def is_clearly_worse(losses, others, weights):
    """Whether the weighted mean of losses is above that of others by a standard error at least."""
    differences = losses - others
    excess = weights @ differences
    return bool(excess > 0 and excess > np.sqrt(weights**2 @ (differences - excess) ** 2))

"""Ensembles: several fits of an estimator that differ in their seeds, trained together.

An estimator with ``n_estimators`` above 1 has fitted copies of itself, its members, in place of a
net. Each is what a fit of its own with its seed would be, so whatever a fit may do (hold rows out,
choose temperatures, label rows by itself) every member does for itself. The estimator averages
their predictions.
"""

import copy
from functools import partial

from sklearn.base import clone

from ltlearn.training._checkpoint import current_checkpoint
from ltlearn.training._together import run_together
from ltlearn.training._trainer import train_many
from ltlearn.training.stacked._groups import train_stacked
from ltlearn.training.stacked._report import Report


class EnsembleMixin:
    """Members of a deep estimator."""

    @property
    def _members(self):
        """The fitted estimators whose predictions are averaged; itself where it is but one."""
        return getattr(self, "estimators_", [self])

    def _check_continuation(self):
        """A fit that goes on goes on with the members that there are."""
        n_before = len(self._members)
        if self._is_continued and self.n_estimators != n_before:
            raise ValueError(
                f"n_estimators={self.n_estimators}, but warm_start=True goes on with the "
                f"{n_before} of the last fit; leave n_estimators={n_before}, or fit from the start "
                "with warm_start=False."
            )

    def _fit_members(self, X, y, sample_weight, *, X_val, y_val, sample_weight_val, **more):
        """Fit the members, and learn what they have in common."""
        _, seeds = self._draw_seeds(self.n_estimators)
        if not self._is_continued:
            self._forget_fit()
        train, _ = self._validate_fit_rows(X, y, sample_weight, X_val, y_val, sample_weight_val)
        members = [self._make_member(number, seed) for number, seed in enumerate(seeds)]
        validation = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        calls = [
            partial(member.fit, X, y, sample_weight, **validation, **more) for member in members
        ]
        with Report(len(members), self.verbose) as report:
            run_together(
                calls, partial(train_many, otherwise=partial(train_stacked, report=report))
            )
        self._learn_common(train, members)
        self.estimators_ = members
        self.history_ = [
            {"member": number, **row}
            for number, member in enumerate(members)
            for row in member.history_
        ]
        self.n_iter_ = max(member.n_iter_ for member in members)

    def _forget_fit(self):
        """Drop what another fit has learned."""
        for name in list(vars(self)):
            if name.endswith("_") and not name.startswith("_"):
                delattr(self, name)

    def _make_member(self, number, seed):
        """An estimator to fit; one that goes on leaves that of the last fit as it is."""
        params = clone(self).get_params(deep=False)
        params |= {"n_estimators": 1, "random_state": seed, "verbose": max(0, self.verbose - 1)}
        if self.checkpoint is not None:
            params["checkpoint"] = str(current_checkpoint().folder / f"member-{number}")
        member = copy.copy(self.estimators_[number]) if self._is_continued else type(self)()
        return member.set_params(**params)

"""Auxiliary classes of a classifier: their rows, and whose neighbors they are."""

import numpy as np
from torch import nn

from ltlearn.auxiliary._neighbors import (
    class_prototypes,
    most_similar_pairs,
    relation_from_dict,
    relation_to_dict,
    similar_pairs,
)
from ltlearn.auxiliary._synthesis import synthesize
from ltlearn.data._batches import WholeBatches
from ltlearn.data._inputs import ColumnInputs, TableInputs
from ltlearn.data._views import take_rows
from ltlearn.estimators._validation import Rows, check_labels, validate_more_rows
from ltlearn.networks._network import Network, apply_in_batches
from ltlearn.utils._device import resolve_device
from ltlearn.utils._precision import resolve_precision
from ltlearn.utils._random import isolated_generators, seed_for

# Rows synthesized of each auxiliary class, as a multiple of those that an epoch draws from them.
_SYNTHETIC_POOL = 4
# Most of them of all classes together.
_MOST_SYNTHETIC = 10_000_000

# Rows of a table whose prototypes are taken at once.
_ROWS_AT_ONCE = 4096


class AuxiliaryClassesMixin:
    """What a :class:`BaseDeepEstimator` for classes does about auxiliary ones."""

    def _validate_auxiliary(self, train, X_aux, y_aux):
        """Auxiliary rows and labels as arrays, of length 0 where there are none to use."""
        options = self._option("auxiliary")
        if X_aux is None:
            if options.neighbors != "auto" and any(map(np.size, options.neighbors.values())):
                if options.synthesize:
                    raise ValueError(
                        'auxiliary="synthesize" makes auxiliary classes and knows their '
                        'neighbors; leave auxiliary.neighbors="auto".'
                    )
                raise ValueError(
                    "auxiliary.neighbors names auxiliary classes, but fit was given none: pass "
                    'X_aux and y_aux, or leave neighbors="auto".'
                )
            return train.X[:0], self.classes_[:0]
        if options.synthesize:
            raise ValueError(
                'auxiliary="synthesize" makes auxiliary classes, X_aux brings others; use '
                "one of the two."
            )
        X_aux = validate_more_rows(self, X_aux, "X_aux", like=train.X)
        y_aux = check_labels(y_aux, "y_aux")
        if len(X_aux) != len(y_aux):
            raise ValueError(
                f"X_aux has {len(X_aux)} rows and y_aux {len(y_aux)}. If both were as long when "
                "you passed them, one was sliced on the way: wrap both in ltlearn.Whole."
            )
        shared = sorted(set(self.classes_.tolist()) & set(np.unique(y_aux).tolist()))
        if shared:
            raise ValueError(
                f"The classes {shared} are in y and in y_aux. Auxiliary classes must be other ones "
                "than the target classes: rename them or leave their rows out."
            )
        usable = self._inputs.usable_rows(X_aux)[: None if options.max_samples else 0]
        return take_rows(X_aux, usable), y_aux[usable]

    @property
    def _synthesizes(self):
        options = self._option("auxiliary")
        return options.synthesize and options.max_samples > 0

    def _learn_neighbors(self, train, X_aux, y_aux, seed):
        """Decide on auxiliary classes and on the neighbor relation."""
        n_classes, options = len(self.classes_), self._option("auxiliary")
        self.auxiliary_classes_, codes = np.unique(y_aux, return_inverse=True)
        # Classes whose rows all have weight 0 have no prototype.
        present = np.flatnonzero(np.bincount(train.y))
        if self._synthesizes:
            if len(present) < 2:
                raise ValueError(
                    'auxiliary="synthesize" mixes classes, but only one has rows to train on.'
                )
            if train.X.dtype == object:
                raise ValueError('auxiliary="synthesize" mixes arrays, but X holds file paths.')
            if isinstance(self._inputs, ColumnInputs) and not self._inputs.are_plain(train.X):
                raise ValueError(
                    'auxiliary="synthesize" mixes numbers, but X has categories or missing values.'
                )
            own_codes = np.searchsorted(present, train.y)
            pairs = present[most_similar_pairs(self._prototypes(train.X, own_codes, seed))]
            names = self.classes_.tolist()
            self.auxiliary_classes_ = np.array([f"{names[a]}+{names[b]}" for a, b in pairs])
            relation = np.zeros((n_classes, len(pairs)), dtype=bool)
            relation[pairs.T, np.arange(len(pairs))] = True
        elif not len(y_aux):
            relation = np.zeros((n_classes, 0), dtype=bool)
        elif options.neighbors == "auto":
            own_codes = np.searchsorted(present, train.y)
            prototypes = self._prototypes(train.X, own_codes, seed)
            similarity = prototypes @ self._prototypes(X_aux, codes, seed).T
            relation = np.zeros((n_classes, len(self.auxiliary_classes_)), dtype=bool)
            relation[present] = similar_pairs(similarity, options.neighbor_similarity)
        else:
            relation = relation_from_dict(options.neighbors, self.classes_, self.auxiliary_classes_)
        self._relation = relation
        self.neighbors_ = relation_to_dict(relation, self.classes_, self.auxiliary_classes_)

    def _auxiliary_rows(self, train, X_aux, y_aux, random_state):
        """Rows of the auxiliary classes, encoded from 0."""
        if self._synthesizes:
            pairs = np.nonzero(self._relation.T)[1].reshape(-1, 2)
            absent = np.setdiff1d(pairs, train.y)
            if len(absent):
                raise ValueError(
                    "warm_start goes on synthesizing auxiliary classes from all target classes, "
                    f"but y has no rows of {self.classes_[absent].tolist()}."
                )
            max_samples = self._option("auxiliary").max_samples
            n_samples = _SYNTHETIC_POOL * max_samples
            if n_samples * len(pairs) > _MOST_SYNTHETIC:
                raise ValueError(
                    f"auxiliary.max_samples={max_samples} would take "
                    f"{n_samples * len(pairs)} synthesized rows; lower it."
                )
            return Rows(*synthesize(train.X, train.y, pairs, n_samples, random_state), None)
        classes, codes = np.unique(y_aux, return_inverse=True)
        if not np.array_equal(classes, self.auxiliary_classes_):
            raise ValueError(
                "warm_start needs the auxiliary classes of the first fit, "
                f"{self.auxiliary_classes_.tolist()}; y_aux has {classes.tolist()}."
            )
        return Rows(X_aux, codes, None)

    def _prototypes(self, X, codes, seed):
        data = self._inputs.data(X)
        if isinstance(self._inputs, TableInputs):  # features as they are
            batches = (rows.numpy() for rows, _ in WholeBatches(data, _ROWS_AT_ONCE))
        else:
            batches = [self._initial_features(data, seed).numpy()]
        return class_prototypes(batches, codes, codes.max() + 1)

    def _initial_features(self, data, seed):
        """Features of the backbone that training with this seed will start from."""
        device = resolve_device(self.device)
        with isolated_generators(seed_for(seed, "weights"), device), self._few_threads(device):
            params = self._network_params(data.input_shape)
            network = Network(build_head=nn.Identity, **params).to(device).eval()
            return apply_in_batches(
                network.features,
                data,
                batch_size=self._setting("batch_size"),
                device=device,
                precision=resolve_precision(self._option("training").precision, device),
            ).cpu()

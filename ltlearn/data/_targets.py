"""Named targets of the rows of a batch: dicts of tensors of equal length."""

import torch

# Targets are gathered for about this many rows at once, many batches or a single large one.
_ROWS_AT_ONCE = 2**16


def batch_groups(n_rows, n, rows_at_once=None):
    """Batches of equal size among the ``n`` that ``tensor_split`` makes of an epoch.

    A group has about ``rows_at_once`` rows, by default those of targets, or is one batch.

    Returns
    -------
    groups : list of (first, n_batches, size)
        Number of the first batch, how many there are, and rows of each.
    """
    size, n_larger = divmod(n_rows, n)
    rows_at_once = _ROWS_AT_ONCE if rows_at_once is None else rows_at_once
    groups = []
    for start, stop, rows in ((0, n_larger, size + 1), (n_larger, n, size)):
        step = max(1, rows_at_once // (size + 1))
        groups += [(first, min(step, stop - first), rows) for first in range(start, stop, step)]
    return groups


def batch_targets(target, index, n, prepare=None):
    """The targets of the rows ``index``, in the ``n`` batches that ``tensor_split`` makes."""
    start = 0
    for _, n_batches, size in batch_groups(len(index), n):
        group = index[start : start + n_batches * size]
        start += n_batches * size
        gathered = {
            name: values.index_select(0, group).unflatten(0, (n_batches, size))
            for name, values in target.items()
        }
        if prepare is not None:
            gathered = prepare(gathered)
        batches = {name: values.unbind() for name, values in gathered.items()}
        for number in range(n_batches):
            yield {name: values[number] for name, values in batches.items()}


def check_lengths(X, target):
    for name, values in (target or {}).items():
        if len(values) != len(X):
            raise ValueError(f"target {name!r} has {len(values)} rows, X has {len(X)}.")
    return target or {}


def concatenate_targets(first, second):
    return {name: torch.cat([values, second[name]]) for name, values in first.items()}

"""Named targets of the rows of a batch: dicts of tensors of equal length."""

import torch

# Targets are gathered for about this many rows at once, many batches or a single large one.
_ROWS_AT_ONCE = 2**16


def batch_targets(target, index, n, prepare=None):
    """The targets of the rows ``index``, in the ``n`` batches that ``tensor_split`` makes."""
    size, n_larger = divmod(len(index), n)
    larger, smaller = index.tensor_split([n_larger * (size + 1)])
    for rows in (larger.view(n_larger, size + 1), smaller.view(n - n_larger, size)):
        step = max(1, _ROWS_AT_ONCE // (size + 1))
        for start in range(0, len(rows), step):
            group = rows[start : start + step]
            gathered = {
                name: values.index_select(0, group.flatten()).unflatten(0, group.shape)
                for name, values in target.items()
            }
            if prepare is not None:
                gathered = prepare(gathered)
            batches = {name: values.unbind() for name, values in gathered.items()}
            for number in range(len(group)):
                yield {name: values[number] for name, values in batches.items()}


def check_lengths(X, target):
    for name, values in (target or {}).items():
        if len(values) != len(X):
            raise ValueError(f"target {name!r} has {len(values)} rows, X has {len(X)}.")
    return target or {}


def concatenate_targets(first, second):
    return {name: torch.cat([values, second[name]]) for name, values in first.items()}

"""Batches of an epoch.

Data have a length, named targets, and a function that says which rows the next epoch holds. Their
method ``batches`` gives the batches of an epoch; ``X`` of a batch may still be on the CPU.
"""

import torch


class WholeBatches:
    """Iterate over the batches of an epoch.

    An epoch is cut into batches whose sizes differ by at most one, so no short batch is left at
    its end and a batch of one sample occurs only where it cannot be avoided.

    Parameters
    ----------
    dataset : TensorData or FileData
    batch_size : int
        The largest size of a batch.
    prepare_targets : callable, default=None
        Called with the targets of several batches of equal size, a dict of tensors (N, B, ...);
        what it returns, a dict of tensors (N, ...), reaches the batches instead. What it does for
        all of them at once costs less than in the batches one by one.
    own_rows : callable, default=None
        From the row numbers of an epoch and the number of its batches to those of them, as many
        in every batch as others have, up to one, that this process takes.
    has_equal_sizes : bool, default=False
        Leave out as many of the last rows of an epoch, fewer than it has batches, that all batches
        have one size: what is compiled or recorded for a size serves all of them.
    n_parts : int, default=1
        Into how many parts batches of equal sizes are cut. More rows are left out where these would
        not be of one size.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        prepare_targets=None,
        own_rows=None,
        has_equal_sizes=False,
        n_parts=1,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.prepare_targets = prepare_targets
        self.own_rows = own_rows
        self.has_equal_sizes = has_equal_sizes
        self.n_parts = n_parts

    def __iter__(self):
        epoch_index = self.dataset.epoch_index
        index = (
            torch.arange(len(self.dataset), device="cpu") if epoch_index is None else epoch_index()
        )
        n = n_batches(len(index), self.batch_size)
        if self.has_equal_sizes:
            size = len(index) // n
            index = index[: n * (size - size % min(self.n_parts, size))]
        if self.own_rows is not None:
            index = self.own_rows(index, n)
        return self.dataset.batches(index, n, self.prepare_targets)


def n_batches(n, batch_size):
    """Number of batches of at most ``batch_size`` rows in an epoch of ``n`` rows."""
    return max(1, -(-n // batch_size))

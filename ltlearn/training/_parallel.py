"""One training in several processes, each with a part of every batch.

Inside a process group of :mod:`torch.distributed`, such as ``torchrun`` makes it possible, every
process runs the same fit to the same rows. A batch is cut into as many parts as there are
processes, and gradients are averaged over its rows, so that all hold the same weights after every
update. What an objective does within a batch (mixup, alignment, batch normalization, the second
step of sharpness-aware minimization) it does within the own part; class shares, weights, validation
and predictions are those of all rows.
"""

import torch
from torch import distributed


def current_group():
    """The :class:`ProcessGroup` that this process is in, or None where it is alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return ProcessGroup() if distributed.get_world_size() > 1 else None


class ProcessGroup:
    """The processes that train together.

    Attributes
    ----------
    rank, size : int
        Number of this process, and how many there are.
    """

    def __init__(self):
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def own_rows(self, index, n):
        """The rows of this process, of those in ``index`` that are cut into ``n`` batches.

        Raises
        ------
        ValueError
            When a batch has fewer rows than there are processes.
        """
        parts = [rows.tensor_split(self.size)[self.rank] for rows in index.tensor_split(n)]
        if len(index) < n * self.size:
            raise ValueError(
                f"A batch has {len(index) // n} rows for {self.size} processes; use a larger "
                "batch_size, or fewer processes."
            )
        return torch.cat(parts)

    def average_gradients(self, parameters, n_rows):
        """Replace gradients of the means over own rows by those of the mean over all rows."""
        learned = [values for values in parameters if values.requires_grad]
        own = [
            torch.zeros_like(values) if values.grad is None else values.grad for values in learned
        ]
        counts = own[0].new_tensor([n_rows, *(float(v.grad is not None) for v in learned)])
        total = torch.cat([counts, *(n_rows * gradient.flatten() for gradient in own)])
        distributed.all_reduce(total)
        used, total = total[1 : len(counts)].tolist(), total[len(counts) :] / total[0]
        pieces = total.split([values.numel() for values in learned])
        for values, gradient, n_used in zip(learned, pieces, used, strict=True):
            values.grad = gradient.view_as(values) if n_used else None

    def means(self, values, n_rows):
        """Means over all rows of means over own rows, by name; one that is missing is 0."""
        found = self._gather((n_rows, values))
        total = sum(n for n, _ in found)
        names = dict.fromkeys(name for _, own in found for name in own)
        return {name: sum(n * own.get(name, 0.0) for n, own in found) / total for name in names}

    def check_same(self, parts):
        """Raise, in all processes, where they do not make the same fit.

        Parameters
        ----------
        parts : dict of str to value
            Of a fit, by what an error calls them.

        Raises
        ------
        ValueError
        """
        found = self._gather(parts)
        for rank, own in enumerate(found):
            odd = [name for name in own if own[name] != found[0].get(name)]
            if odd:
                raise ValueError(
                    "Processes that train together must pass the same rows and parameters to fit; "
                    f"those of process {rank} differ from those of process 0 in {', '.join(odd)}. "
                    "fit itself deals the rows of every batch out to the processes."
                )

    def share_state(self, *modules):
        """Give all processes the weights and buffers of the first."""
        for module in modules:
            for values in module.state_dict().values():
                distributed.broadcast(values, 0)

    def share(self, value):
        """What the first process has, of plain values."""
        shared = [value]
        distributed.broadcast_object_list(shared, 0)
        return shared[0]

    def any(self, value):
        """Whether it is true in any process."""
        return any(self._gather(value))

    def _gather(self, value):
        """The plain values of all processes, by rank."""
        found = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

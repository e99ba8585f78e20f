"""Which fit a checkpoint belongs to: what decides on it, and where it lies."""

import torch

from ltlearn._version import __version__
from ltlearn.persistence._hashing import content_hash
from ltlearn.training._checkpoint import FitCheckpoint, current_checkpoint, folder_of
from ltlearn.training._parallel import current_group
from ltlearn.utils._random import draw_seeds

# Parameters that a fit which goes on may have otherwise.
_FREE = {
    *("checkpoint", "device", "verbose"),
    *("training", "training__checkpoint_seconds", "training__on_interrupt"),
    *("images", "images__num_workers", "architecture", "bins", "enhancers", "auxiliary"),
}

# Values of parameters that processes which train together are asked to have alike.
_PLAIN = (bool, int, float, str)


class CheckpointMixin:
    """Checkpoints of a deep estimator, see its parameter ``checkpoint``."""

    def _check_processes(self, X, y, sample_weight, rows):
        """Check that all processes of a group make the same fit, where there is a group."""
        group = current_group()
        if group is not None:
            plain = {
                name: value
                for name, value in self.get_params().items()
                if isinstance(value, _PLAIN) and name not in _FREE
            }
            group.check_same({**_hashes(X, y, sample_weight, rows), **plain})

    def _open_checkpoint(self, X, y, sample_weight, rows):
        """The :class:`FitCheckpoint` of a fit to these rows, or None.

        Raises
        ------
        CheckpointError
            When the folder cannot be used or holds another fit.
        ValueError
            With callbacks, whose state no checkpoint holds, and in a process group.
        """
        if self.checkpoint is None:
            return None
        self._validate_options()
        if current_group() is not None:
            raise ValueError(
                "checkpoint is for fits in one process, but torch.distributed is initialized; "
                "leave it None."
            )
        if self.callbacks:
            raise ValueError(
                "checkpoint cannot hold the state of callbacks; leave callbacks=None, or fit "
                "without checkpoint."
            )
        parts = {
            **_hashes(X, y, sample_weight, rows),
            **{
                name: content_hash(value, strict=False)
                for name, value in self.get_params().items()
                if name not in _FREE
            },
            "the class of the estimator": type(self).__name__,
            "the version of ltlearn": __version__,
            "the version of torch": torch.__version__,
        }
        if self._is_continued:
            states = [member.net_.training_state() for member in self._members]
            parts["the model that warm_start goes on with"] = content_hash(
                [(state["weights"], state["objective"], state["optimizer"]) for state in states]
            )
        return FitCheckpoint(
            folder_of(self.checkpoint, parts, is_apart=hasattr(self, "_has_twins")),
            parts,
            draw_seed=lambda: draw_seeds(None, 1)[1][0],
            seconds=self._option("training").checkpoint_seconds,
        )

    def _draw_seeds(self, n):
        """Seeds, and the generator they came from.

        Without ``random_state``, they come from what a checkpoint or the first of several
        processes says.
        """
        random_state, checkpoint = self.random_state, current_checkpoint()
        if random_state is None and checkpoint is not None:
            random_state = checkpoint.seed
        group = current_group()
        if random_state is None and group is not None:
            random_state = group.share(draw_seeds(None, 1)[1][0])
        return draw_seeds(random_state, n)

    def __sklearn_clone__(self):
        cloned = super().__sklearn_clone__()
        if self.checkpoint is not None:
            cloned._has_twins = True  # other clones may use the same folder
        return cloned


def _hashes(X, y, sample_weight, rows):
    data = {"X": X, "y": y, "sample_weight": sample_weight, **rows}
    return {name: content_hash(values, strict=False) for name, values in data.items()}

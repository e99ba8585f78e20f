"""Callbacks that watch one call of fit: progress bars and scikit-learn's own callbacks."""

from skorch.callbacks import Callback

from ltlearn.utils._progress import progress_bar


class EpochBar(Callback):
    """A progress bar over epochs that shows the latest losses.

    Parameters
    ----------
    description : str
    """

    def __init__(self, description):
        self.description = description
        self.bar_ = None

    def on_train_begin(self, net, **kwargs):
        self.bar_ = progress_bar(total=net.max_epochs, desc=self.description, unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        shown = {name: row[name] for name in ("train_loss", "valid_loss") if name in row}
        self.bar_.set_postfix(shown, refresh=False)
        self.bar_.update()

    def close(self):
        if self.bar_ is not None:
            self.bar_.close()


class TaskReporter(Callback):
    """Report every epoch to scikit-learn's callbacks as a subtask of fit.

    Parameters
    ----------
    estimator : estimator instance
    task : sklearn.callback.CallbackContext or None
        The context of fit; None where scikit-learn has no callbacks.
    stage : str
        Name of the subtasks.
    """

    def __init__(self, estimator, task, stage):
        self.estimator = estimator
        self.task = task
        self.stage = stage

    def on_epoch_begin(self, net, **kwargs):
        if self.task is not None:
            self.epoch_ = self.task.subcontext(task_name=f"{self.stage} epoch")
            self.epoch_.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net, **kwargs):
        if self.task is not None and self.epoch_.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=lambda: {"net_": net}
        ):
            raise KeyboardInterrupt  # how skorch's callbacks ask for training to end

    def close(self):
        """Nothing is left open."""

"""The skorch net that the estimators own, and its training step.

Three things differ from ``skorch.NeuralNet``:

- the criterion is an *objective*: it sees the whole network and the batch, so that enhancers can
  work on features, and it returns every loss term by name;
- nothing is copied to the host during an epoch; loss terms are averaged on the device and recorded
  once at the end of it;
- validation runs all validation outputs through the objective at once, so a metric need not be a
  mean over batches.
"""

import math

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochTimer, PrintLog

from ltlearn._batches import WholeBatches
from ltlearn.exceptions import NonFiniteLossError


class ObjectiveNet(NeuralNet):
    """Train a :class:`~ltlearn._network.Network` with an objective.

    ``criterion`` is a module with two methods. ``training_terms(network, X, target)`` returns a
    dict of scalars, of which ``"loss"`` is differentiated. ``validation_terms(outputs, target)``
    returns a dict of scalars for the outputs of a whole validation set.
    """

    def __init__(self, *args, iterator_train=WholeBatches, iterator_valid=WholeBatches, **kwargs):
        super().__init__(
            *args, iterator_train=iterator_train, iterator_valid=iterator_valid, **kwargs
        )

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer()), ("print_log", PrintLog())][: 1 + (self.verbose > 0)]

    def fit_data(self, train, valid=None, observers=()):
        """Train on ``train``, validating on ``valid`` after every epoch.

        Continues from the present weights when the net is initialized.

        Parameters
        ----------
        train, valid : TensorData
            ``valid`` may be None.
        observers : sequence of skorch callbacks
            Callbacks of this call only; the net does not keep them.
        """
        if not self.initialized_:
            self.initialize()
        train, valid = (data and data.to(self.device) for data in (train, valid))
        kept, self.callbacks_ = (
            self.callbacks_,
            [
                *self.callbacks_,
                *((type(observer).__name__, observer) for observer in observers),
            ],
        )
        try:
            self.notify("on_train_begin", X=train, y=None)
            self.fit_loop(train, valid)
            self.notify("on_train_end", X=train, y=None)
            self._check_weights()
        finally:
            self.callbacks_ = kept
            self._set_training(False)
            for row in self.history:
                row["batches"].clear()
        return self

    def fit_loop(self, train, valid=None, epochs=None, **fit_params):
        batches = self.get_iterator(train, training=True)
        epoch_data = {"dataset_train": train, "dataset_valid": valid}
        for _ in range(self.max_epochs if epochs is None else epochs):
            self.notify("on_epoch_begin", **epoch_data)
            self._train_epoch(batches)
            if valid is not None:
                self._validate_epoch(valid)
            try:
                self.notify("on_epoch_end", **epoch_data)
            except KeyboardInterrupt:  # how skorch's callbacks ask for training to end
                break
        return self

    def train_step(self, batch, **fit_params):
        X, target = batch
        terms = {}

        def closure():
            self.optimizer_.zero_grad()
            terms.update(self.criterion_.training_terms(self.module_, X, target))
            terms["loss"].backward()
            self.notify(
                "on_grad_computed",
                named_parameters=self.module_.named_parameters(),
                batch=batch,
                training=True,
            )
            return terms["loss"]

        self.optimizer_.step(closure)
        return {name: value.detach() for name, value in terms.items()}

    def outputs(self, X, method="forward"):
        """Pass ``X`` through the network in evaluation mode.

        Parameters
        ----------
        X : torch.Tensor of shape (n, ...)
        method : {"forward", "features"}, default="forward"
            Which method of the network to call: outputs of the head, or features before it.

        Returns
        -------
        outputs : torch.Tensor of shape (n, ...)
            On the net's device.
        """
        self._set_training(False)
        apply = getattr(self.module_, method)
        with torch.inference_mode():
            return torch.cat([apply(batch.to(self.device)) for batch in X.split(self.batch_size)])

    def _train_epoch(self, batches):
        self._set_training(True)
        steps, sizes = [], []
        for batch in batches:
            self.notify("on_batch_begin", batch=batch, training=True)
            step = self.train_step(batch)
            steps.append(step)
            sizes.append(len(batch[0]))
            self.notify("on_batch_end", batch=batch, training=True, **step)
        self.history.record("train_batch_count", len(steps))
        share = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        for name in steps[0]:
            values = torch.stack([step[name] for step in steps]).double().cpu()
            self._record_term("train", name, float(values @ share))

    def _validate_epoch(self, valid):
        terms = self.criterion_.validation_terms(self.outputs(valid.X), valid.target)
        previous_best = min(
            (row["valid_loss"] for row in self.history[:-1] if "valid_loss" in row),
            default=math.inf,
        )
        for name, value in terms.items():
            self._record_term("valid", name, float(value))
        self.history.record("valid_loss_best", self.history[-1, "valid_loss"] < previous_best)

    def _check_weights(self):
        if not all(values.isfinite().all() for values in self.module_.state_dict().values()):
            raise NonFiniteLossError(
                f"Weights were no longer finite after epoch {len(self.history)}. Try a smaller lr "
                f"(now {self.lr:g}) or scaled inputs."
            )

    def _record_term(self, prefix, name, value):
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"The {prefix} {name} became {value} in epoch {len(self.history)}. Try a smaller "
                f"lr (now {self.lr:g}), scaled inputs, or look for extreme values in X and y."
            )
        self.history.record(f"{prefix}_{name}", value)

"""Optimizers of parameters (M, ...) that belong to M members with rates of their own.

Neighboring members with the same rates and as many steps behind them are updated together by
torch's own functions, so every member moves exactly as it would alone; put members of equal rates
next to each other.
"""

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

# What may differ from member to member.
_RATES = ("lr", "weight_decay")


def is_stackable(optimizer):
    """Whether an optimizer has a stacked counterpart: a plain one with a single group."""
    return type(optimizer) in _KINDS and len(optimizer.param_groups) == 1 and not optimizer.state


def shared_options(optimizer):
    """What must be equal for members to be stacked: a hashable description of an optimizer."""
    options = {k: v for k, v in optimizer.param_groups[0].items() if k not in (*_RATES, "params")}
    return type(optimizer), tuple(sorted(options.items(), key=lambda item: item[0]))


class StackedOptimizer:
    """Update parameters (M, ...) as the optimizers of the M members would.

    Parameters
    ----------
    parameters : list of torch.Tensor of shape (M, ...)
    optimizers : list of torch.optim.Optimizer
        One per member, with the rates that it uses; `shared_options` are equal.
    """

    def __init__(self, parameters, optimizers):
        groups = [optimizer.param_groups[0] for optimizer in optimizers]
        self.parameters = parameters
        self.rates = [group["lr"] for group in groups]
        self.decays = [group["weight_decay"] for group in groups]
        self.n_steps = [0] * len(groups)
        self.kind = _KINDS[type(optimizers[0])](groups[0])
        self.state = [
            [torch.zeros_like(values) for _ in range(self.kind.n_buffers)] for values in parameters
        ]
        self._layout = None

    def set_rates(self, rates):
        """Give the members the learning rates of a list (M,) from the next step on."""
        if rates != self.rates:
            self.rates = rates
            self._layout = None

    def step(self, taking_part=None):
        """Update from the gradients.

        Parameters
        ----------
        taking_part : tuple of bool of length M, default=None
            The other members stay where they are. All take part by default.
        """
        runs = self._runs(taking_part)
        for run in runs:
            run.update()
        for run in runs:
            for member in range(run.start, run.stop):
                self.n_steps[member] += 1

    def clip_gradients(self, max_norms):
        """Scale the gradient of every member down to its ``max_norms`` (M,), as torch does."""
        gradients = [values.grad for values in self.parameters if values.grad is not None]
        norms = [torch.linalg.vector_norm(each.flatten(1), dim=1) for each in gradients]
        total = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        shares = (max_norms / (total + 1e-6)).clamp(max=1.0)
        for each in gradients:
            each.mul_(shares.view(-1, *[1] * (each.ndim - 1)))

    def select(self, members, parameters):
        """Go on with some of the members, whose parameters are now the given ones."""
        index = torch.tensor(members, device=parameters[0].device)
        self.parameters = parameters
        self.state = [[buffer.index_select(0, index) for buffer in each] for each in self.state]
        self.rates, self.decays, self.n_steps = (
            [values[member] for member in members]
            for values in (self.rates, self.decays, self.n_steps)
        )
        self._layout = None

    def _runs(self, taking_part):
        """Stretches of members that take part and are at one in everything."""
        n_members = len(self.rates)
        taking_part = (True,) * n_members if taking_part is None else taking_part
        if self._layout is None or self._layout[0] != taking_part:
            runs, start = [], 0
            alike = list(zip(taking_part, self.rates, self.decays, self.n_steps, strict=True))
            for stop in range(1, n_members + 1):
                if stop == n_members or alike[stop] != alike[start]:
                    if taking_part[start]:
                        runs.append(_Run(self, start, stop))
                    start = stop
            self._layout = taking_part, runs
        return self._layout[1]


class _Run:
    """Members from ``start`` to before ``stop``, which are updated together."""

    def __init__(self, optimizer, start, stop):
        self.optimizer, self.start, self.stop = optimizer, start, stop
        self.parameters = [values.detach()[start:stop] for values in optimizer.parameters]
        self.state = [[buffer[start:stop] for buffer in each] for each in optimizer.state]
        n_steps = float(optimizer.n_steps[start])
        self.n_steps = torch.tensor(n_steps, device=optimizer.parameters[0].device)

    def update(self):
        gradients = [values.grad for values in self.optimizer.parameters]
        known = [i for i, gradient in enumerate(gradients) if gradient is not None]
        self.optimizer.kind(
            [self.parameters[i] for i in known],
            [gradients[i][self.start : self.stop] for i in known],
            [self.state[i] for i in known],
            self.n_steps,
            lr=self.optimizer.rates[self.start],
            weight_decay=self.optimizer.decays[self.start],
        )


class _Adam:
    n_buffers = 2
    function = staticmethod(adam)
    kernel = torch._fused_adam_  # which the function calls, if fused

    def __init__(self, options):
        (beta1, beta2), names = options["betas"], ("eps", "amsgrad", "maximize")
        self.options = {"beta1": beta1, "beta2": beta2, **{name: options[name] for name in names}}
        if not options["fused"]:
            self.kernel = None
            self.options["fused"] = options["fused"]

    def __call__(self, parameters, gradients, state, n_steps, **rates):
        averages, squares = ([*buffers] for buffers in zip(*state, strict=True))
        tensors = parameters, gradients, averages, squares, []
        if self.kernel is None:
            steps = [n_steps.clone() for _ in parameters]
            self.function(*tensors, steps, **self.options, **rates)
            n_steps += 1
        else:
            # The function counts the steps of each tensor and sorts tensors by device every time.
            n_steps += 1
            self.kernel(*tensors, [n_steps] * len(parameters), **self.options, **rates)


class _AdamW(_Adam):
    function = staticmethod(adamw)
    kernel = torch._fused_adamw_


class _SGD:
    n_buffers = 1

    def __init__(self, options):
        names = ("momentum", "dampening", "nesterov", "maximize", "fused")
        self.options = {name: options[name] for name in names}

    def __call__(self, parameters, gradients, state, n_steps, **rates):
        # Without dampening, a momentum that starts from zero takes on the first gradient.
        momenta = [momentum if self.options["momentum"] else None for (momentum,) in state]
        sgd(parameters, gradients, momenta, **self.options, **rates)


_KINDS = {torch.optim.Adam: _Adam, torch.optim.AdamW: _AdamW, torch.optim.SGD: _SGD}

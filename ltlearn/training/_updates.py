"""Updates by torch's Adam and AdamW, called directly.

Around the arithmetic, ``optimizer.step`` looks for parameters, states and hooks anew every time,
which for small layers takes as long as the arithmetic.
"""

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw

_FUNCTIONS = {torch.optim.Adam: adam, torch.optim.AdamW: adamw}


class DirectUpdate:
    """Steps of an optimizer for as long as the same parameters have gradients.

    Use :meth:`after_step_of`. Rates and other options may change from step to step.

    Parameters
    ----------
    optimizer : torch.optim.Adam or torch.optim.AdamW
        Fused, and with a state for every parameter that has a gradient.
    """

    @classmethod
    def after_step_of(cls, optimizer):
        """Go on from a step that an optimizer has made, or None where only itself can."""
        is_plain = type(optimizer) in _FUNCTIONS and all(
            group["fused"] and not group["amsgrad"] for group in optimizer.param_groups
        )
        # Schedulers of torch replace the method; hooks are called by it.
        hooks = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
        if not is_plain or "step" in vars(optimizer) or any(hooks):
            return None
        return cls(optimizer)

    def __init__(self, optimizer):
        self.function = _FUNCTIONS[type(optimizer)]
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.has_gradient = [p.grad is not None for p in self.parameters]
        self.groups = []
        for group in optimizer.param_groups:
            known = [p for p in group["params"] if p.grad is not None]
            states = [optimizer.state[p] for p in known]
            buffers = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")]
            steps = [state["step"] for state in states]
            self.groups.append((group, known, [p.detach() for p in known], *buffers, steps))

    def clear_gradients(self):
        for parameter in self.parameters:
            parameter.grad = None

    def step(self):
        """Update from the gradients; False, and nothing, where others have gradients now."""
        if [p.grad is not None for p in self.parameters] != self.has_gradient:
            return False
        for group, known, values, averages, squares, steps in self.groups:
            beta1, beta2 = group["betas"]
            self.function(
                values,
                [p.grad for p in known],
                averages,
                squares,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=group["maximize"],
            )
        return True

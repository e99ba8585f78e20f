"""Which trainings can go on as one."""

from ltlearn.training._trainer import train_alone
from ltlearn.training.stacked._loop import Member, train_stack
from ltlearn.training.stacked._network import NotStackableError
from ltlearn.utils._device import own_modes

# Most members of a stack, most of their parameters together, and most numbers that a layer makes of
# their batches: what fits a cache is faster. But below some members, so is a larger stack.
_MAX_MEMBERS, _MIN_MEMBERS = 64, 12
_MAX_PARAMETERS = 2**23
_MAX_ACTIVATIONS = 2**18


@own_modes()
def train_stacked(plans, report=None):
    """Train all, stacked where they can be.

    Parameters
    ----------
    plans : list of TrainingPlan
    report : Report, default=None
        Is told what trains together and what has ended.

    Returns
    -------
    outcomes : list
        For each the net, or the error that ended its training.
    """
    outcomes, reasons, groups = [None] * len(plans), {}, {}
    for number, plan in enumerate(plans):
        try:
            member = Member(plan)
            groups.setdefault(member.key(), []).append((number, member))
        except NotStackableError as reason:
            reasons[number] = str(reason)
        except Exception as error:
            outcomes[number] = error
    stacks = []
    for stack in (stack for group in groups.values() for stack in _stacks(group)):
        if len(stack) == 1:
            reasons[stack[0][0]] = "no other training has its shape"
        else:
            stacks.append(stack)
    if report is not None and (stacks or reasons):
        report.of_groups([len(stack) for stack in stacks], list(reasons.values()))
    for stack in stacks:
        train_stack([member for _, member in stack])
        for number, member in stack:
            outcomes[number] = member.net if member.error is None else member.error
        if report is not None:
            report.done(len(stack))
    for number in reasons:
        outcomes[number] = _outcome_alone(plans[number])
        if report is not None:
            report.done()
    return outcomes


def _stacks(group):
    """Cut a group into stacks of a good size; members of equal rates next to each other."""
    group = sorted(group, key=lambda each: each[1].order())
    net = group[0][1].net
    parameters = list(net.module_.parameters())
    n_parameters = sum(parameter.numel() for parameter in parameters)
    width = max((parameter.shape[-2] for parameter in parameters if parameter.ndim > 1), default=1)
    by_batch = max(_MIN_MEMBERS, _MAX_ACTIVATIONS // (net.batch_size * width))
    by_weights = _MAX_PARAMETERS // max(1, n_parameters)
    size = max(1, min(_MAX_MEMBERS, by_batch, by_weights))
    n_stacks = -(-len(group) // size)
    for number in range(n_stacks):
        yield group[number * len(group) // n_stacks : (number + 1) * len(group) // n_stacks]


def _outcome_alone(plan):
    try:
        return train_alone(plan)
    except Exception as error:
        return error

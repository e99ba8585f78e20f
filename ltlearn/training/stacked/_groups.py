"""Which trainings can go on as one."""

from ltlearn.training._trainer import train_alone
from ltlearn.training.stacked._loop import Member, train_stack
from ltlearn.training.stacked._network import NotStackableError

# Most members of a stack, and most of their parameters together: what fits a cache is faster.
_MAX_MEMBERS = 64
_MAX_PARAMETERS = 2**23


def train_stacked(plans):
    """Train all, stacked where they can be.

    Parameters
    ----------
    plans : list of TrainingPlan

    Returns
    -------
    outcomes : list
        For each the net, or the error that ended its training.
    """
    outcomes = [None] * len(plans)
    groups = {}
    for number, plan in enumerate(plans):
        try:
            if plan.keeps_optimizer:
                raise NotStackableError("warm_start goes on with its optimizer")
            member = Member(plan)
            groups.setdefault(member.key(), []).append((number, member))
        except NotStackableError:
            outcomes[number] = _outcome_alone(plan)
        except Exception as error:
            outcomes[number] = error
    for group in groups.values():
        for numbers, members in _stacks(group):
            if len(members) == 1:
                outcomes[numbers[0]] = _outcome_alone(plans[numbers[0]])
                continue
            try:
                train_stack(members)
            except NotStackableError:
                for number in numbers:
                    outcomes[number] = _outcome_alone(plans[number])
                continue
            for number, member in zip(numbers, members, strict=True):
                outcomes[number] = member.net if member.error is None else member.error
    return outcomes


def _stacks(group):
    """Cut a group into stacks of a good size; members of equal rates next to each other."""
    group = sorted(group, key=lambda each: each[1].order())
    n_parameters = sum(p.numel() for p in group[0][1].net.module_.parameters())
    size = max(1, min(_MAX_MEMBERS, _MAX_PARAMETERS // max(1, n_parameters)))
    n_stacks = -(-len(group) // size)
    for number in range(n_stacks):
        stack = group[number * len(group) // n_stacks : (number + 1) * len(group) // n_stacks]
        yield [number for number, _ in stack], [member for _, member in stack]


def _outcome_alone(plan):
    try:
        return train_alone(plan)
    except Exception as error:
        return error

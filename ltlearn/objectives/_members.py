"""Outputs of the members of a network, as a loss takes them."""


def members_as_rows(outputs, target):
    """Outputs (B, M, K) of members as rows (B · M, K), with the targets of their samples.

    Outputs (B, K) of a network without members stay as they are. The mean over all rows is then the
    mean over members of their mean losses.
    """
    if outputs.ndim == 2:
        return outputs, target
    n_members = outputs.shape[1]
    repeated = {
        name: target[name].repeat_interleave(n_members, 0)
        for name in ("score", "distribution", "label", "weight")
        if name in target
    }
    return outputs.flatten(0, 1), repeated

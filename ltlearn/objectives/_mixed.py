"""The loss of rows that are mixed with others of their batch."""


def mixed_loss(outputs, target, draw, loss_of):
    """Expected loss of rows that keep a share of themselves, the rest being their partners'.

    Parameters
    ----------
    outputs : torch.Tensor
        Of the mixed rows.
    target : dict of str to torch.Tensor of shape (B, ...)
        Of the rows before they were mixed.
    draw : FeatureMix
        The share and the partners.
    loss_of : callable
        From outputs and targets to the mean loss.
    """
    other = {name: values.index_select(0, draw.partners) for name, values in target.items()}
    return draw.expected(loss_of(outputs, target), loss_of(outputs, other))

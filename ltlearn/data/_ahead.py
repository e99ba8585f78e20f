"""Copies to a GPU, made while it computes."""

import torch


def copied_ahead(batches, device):
    """Yield tensors on a device, of which the next one is copied there already.

    Copies to a GPU run on a stream of their own, beside the computations with the tensor before.
    They do so from pinned memory; other memory is right, too, but makes the host wait.

    Parameters
    ----------
    batches : iterable of torch.Tensor
        Taken one further than they are yielded, where the device is a GPU.
    device : torch.device
    """
    if device.type != "cuda":
        for batch in batches:
            yield batch.to(device)
        return
    stream = torch.cuda.Stream(device)
    ahead = None
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = batch.to(device, non_blocking=True)
        if ahead is not None:
            yield _handed_over(ahead, stream, device)
        ahead = copied
        copied = None  # the last reference to what was yielded is the caller's
    if ahead is not None:
        yield _handed_over(ahead, stream, device)


def _handed_over(copied, stream, device):
    """A tensor for the present stream, which waits for its copy and keeps its memory so long."""
    present = torch.cuda.current_stream(device)
    present.wait_stream(stream)
    copied.record_stream(present)
    return copied

"""From options to an untrained net."""

from ltlearn.networks._network import Network
from ltlearn.training._callbacks import make_callbacks
from ltlearn.training._net import ObjectiveNet
from ltlearn.training._optimizers import LayerDecay, optimizer_of
from ltlearn.utils._precision import resolve_precision


def make_net(
    network,
    objective,
    objective_params,
    *,
    options,
    device,
    lr,
    batch_size,
    evaluation_batch_size,
    max_epochs,
    callbacks,
    stopping=None,
    layer_decay=1.0,
    verbose=0,
):
    """An untrained net.

    Parameters
    ----------
    network : Network or dict
        A network to go on with, or the arguments of one.
    objective : class
        Of a module with training and validation terms, see :class:`ObjectiveNet`.
    objective_params : dict
        Its arguments.
    options : ltlearn.options.Training
    device : torch.device
    lr : float
    batch_size, evaluation_batch_size : int
    max_epochs : int
    callbacks : sequence of skorch callbacks or None
        A user's own.
    stopping : skorch callback, default=None
        Ends training early.
    layer_decay : float, default=1.0
        Factor of the learning rate from one layer of the backbone to the one below.
    verbose : int, default=0

    Returns
    -------
    net : ObjectiveNet
    """
    if isinstance(network, Network):
        module = {"module": network}
    else:
        module = {"module": Network, **{f"module__{k}": v for k, v in network.items()}}
    optimizer, optimizer_params = optimizer_of(options.optimizer, options.weight_decay, device)
    all_callbacks = make_callbacks(options, callbacks)
    if stopping is not None:
        all_callbacks.append(stopping)
    return ObjectiveNet(
        **module,
        criterion=objective,
        **{f"criterion__{name}": value for name, value in objective_params.items()},
        optimizer=optimizer,
        **{f"optimizer__{name}": value for name, value in optimizer_params.items()},
        lr=lr,
        batch_size=batch_size,
        evaluation_batch_size=evaluation_batch_size,
        max_epochs=max_epochs,
        train_split=None,
        callbacks=all_callbacks,
        device=str(device),
        precision=resolve_precision(options.precision, device),
        accumulation_steps=options.accumulation_steps,
        parameter_groups=None if layer_decay == 1.0 else LayerDecay(layer_decay),
        compile_backbone=options.compile,
        sam_radius=options.sam_radius,
        weight_averaging=options.weight_averaging,
        verbose=max(0, int(verbose) - 1),
    )

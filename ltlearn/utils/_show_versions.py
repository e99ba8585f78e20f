"""What a bug report needs to say about the machine."""

import importlib.metadata
import platform
import sys

PACKAGES = {
    "needed": ("numpy", "scipy", "pandas", "scikit-learn", "torch", "torchvision", "skorch",
               "timm", "joblib", "pillow", "tqdm"),
    "optional": ("matplotlib", "imbalanced-learn", "optuna", "dask", "polars", "pyarrow"),
}  # fmt: skip


def show_versions() -> None:
    """Print the versions of ltlearn and of what it stands on, and the devices torch sees.

    Paste what it prints into a report of a problem.

    Examples
    --------
    >>> import ltlearn
    >>> ltlearn.show_versions()
    ltlearn: ...
    """
    import torch

    from ltlearn._version import __version__

    lines = {
        "ltlearn": __version__,
        "python": sys.version.split()[0],
        "machine": platform.platform(),
        **{name: _version(name) for name in PACKAGES["needed"]},
    }
    for name in PACKAGES["optional"]:
        if (version := _version(name)) is not None:
            lines[name] = version
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    lines["CUDA"] = f"{torch.version.cuda}; {', '.join(devices) or 'no device'}"
    lines["threads of torch"] = torch.get_num_threads()
    print("\n".join(f"{name}: {value or 'not installed'}" for name, value in lines.items()))


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

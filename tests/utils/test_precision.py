"""Which floating-point type is computed in."""

import pytest
import torch

from ltlearn.utils._precision import autocast, resolve_precision

CPU = torch.device("cpu")


def test_auto_is_float32_on_the_cpu():
    assert resolve_precision("auto", CPU) == torch.float32


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)]
)
def test_auto_follows_the_cuda_device(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", torch.device("cuda", 0)) == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_are_computed_in_the_type_asked_for(precision):
    dtype = resolve_precision(precision, torch.device("cuda", 0))
    with autocast(dtype, CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == dtype == getattr(torch, precision)

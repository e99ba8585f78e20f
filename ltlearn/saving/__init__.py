"""Fitted estimators in files that run no code, and their predictions as ONNX.

A file holds names of classes that are listed here, their parameters and what they have learned,
each of a kind that the list says.
"""

from ltlearn.saving._files import load, save
from ltlearn.saving._onnx import export_onnx

__all__ = ["export_onnx", "load", "save"]

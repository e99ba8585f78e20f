"""Fitted estimators in files that run no code, and as ONNX.

A file holds names of classes that are listed here, their parameters and what they have learned, each
of a kind that the list says. :mod:`ltlearn.saving._scikit_learn` lists the classes of scikit-learn.
"""

from ltlearn.saving._files import load, save

__all__ = ["load", "save"]

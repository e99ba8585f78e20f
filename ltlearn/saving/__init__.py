"""Fitted estimators in files that run no code.

A file holds names of classes that are listed here, their parameters and what they have learned,
each of a kind that the list says.
"""

from ltlearn.saving._files import load, save

__all__ = ["load", "save"]

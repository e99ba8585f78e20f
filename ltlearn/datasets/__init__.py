"""Readers of the label files of published image aesthetics data sets."""

from ltlearn.datasets._aesthetics import read_aadb, read_ava, read_para, read_tad66k

__all__ = ["read_aadb", "read_ava", "read_para", "read_tad66k"]

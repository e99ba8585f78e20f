"""Readers of the label files of published image aesthetics data sets, and of tables in files."""

from ltlearn.datasets._aesthetics import read_aadb, read_ava, read_para, read_tad66k
from ltlearn.datasets._mapping import map_table

__all__ = ["map_table", "read_aadb", "read_ava", "read_para", "read_tad66k"]

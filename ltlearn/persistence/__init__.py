"""Hashes by content."""

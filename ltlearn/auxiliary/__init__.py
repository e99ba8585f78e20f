"""Auxiliary classes: the neighbor relation, and classes synthesized from others."""

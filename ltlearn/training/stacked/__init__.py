"""Trainings of equal shape as one: parameters, batches and losses with a dimension of members.

M members, batches of B rows, D features. Every member draws from generators of its own the numbers
that it would draw alone, and ends where it would end alone, up to rounding.
"""

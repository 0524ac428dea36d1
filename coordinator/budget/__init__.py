"""Budgets as arithmetic: scopes, cells, reservations and the rules of agents. No I/O, no clock, no chain."""

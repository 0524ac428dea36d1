"""Measurements: `make bench NAME=x` prints a table and, as its last line, one JSON object of its figures."""

"""Escrows by the hundred, and the bots that end them: the parts of `make soak NAME=settlement`."""

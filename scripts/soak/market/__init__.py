"""Agents that share a treasury under load: `scripts/soak/budget.py`."""

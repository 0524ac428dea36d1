"""How the model says no."""

from __future__ import annotations


class Refused(Exception):
    """A call that breaks rules; `reasons` names the custom error of every rule that it breaks.

    The protocol fixes no order among its rules, so a contract may answer with any of them, and with nothing else.
    """

    def __init__(self, reasons: frozenset[str]) -> None:
        super().__init__(" or ".join(sorted(reasons)))
        self.reasons = reasons


def refuse_if(**broken: bool) -> None:
    """Raise Refused with the names of all rules that are broken."""
    reasons = frozenset(name for name, is_broken in broken.items() if is_broken)
    if reasons:
        raise Refused(reasons)

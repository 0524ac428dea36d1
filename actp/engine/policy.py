"""How patient the engine is: numbers in one place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """All times in seconds.

    `group`: how many are signed in one commit, `batch`: how many are broadcast in one request. `most_open`: how many
    may wait at the node (public ones drop more than 64 of an account). `tries`: how often a job is tried before it is a
    dead letter, with pauses from `first_pause`, doubled each time, up to `longest_pause`. `wait_for`: when to
    look again at what waits for something outside (the end of a pause, lower fees), which counts as no try.
    `unresolved_for`: how long a node may lack what tells whether a used nonce was ours. `resend_after`: when the same
    bytes are broadcast again. `stuck_after`: when the lowest nonce is signed again with higher fees. `check_seal`:
    whether a receipt counts only if its block is on the chain; None for "on live chains". `fees_for`: how long fees are
    used. `poll`: how often the chain is asked what is mined, `final_check`: how often whether blocks are still there.
    `buried`: how many blocks must lie on somebody else's use of a nonce before our call gets another one.
    """

    group: int = 400
    batch: int = 100
    most_open: int = 64
    tries: int = 6
    first_pause: float = 1.0
    longest_pause: float = 60.0
    wait_for: float = 15.0
    unresolved_for: float = 300.0
    resend_after: float = 5.0
    stuck_after: float = 30.0
    check_seal: bool | None = None
    fees_for: float = 10.0
    poll: float = 0.25
    final_check: float = 2.0
    buried: int = 6

    def pause_after(self, tries: int) -> float:
        """How long to wait when a job was tried so many times."""
        return float(min(self.first_pause * 2**tries, self.longest_pause))

"""`python -m scripts.soak.market.asking PLAN PART PARTS` asks for a part of a plan's requests, until all have answers.

A process that is killed has written down some of its answers; the next one asks for the rest, and again for whatever
was answered and not written down.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from coordinator.budget.requests import ask_of
from coordinator.store import dispatches
from scripts.soak.market.plan import Market, Plan, patiently
from scripts.soak.processes import key_of_this_process, say_ready

_THREADS = 4
_BACKLOG = 300
_PAUSE = 0.2


class Asking:
    """One part of the requests."""

    def __init__(self, market: Market, part: int, parts: int) -> None:
        self.market = market
        self.path = market.plan.answers(part)
        answered = {int(line.split()[0]) for line in whole_lines(self.path)}
        self._left = iter([one for one in range(part, market.plan.count, parts) if one not in answered])
        self._lock = threading.Lock()
        if answered:
            self._end_line()

    def run(self) -> None:
        threads = [threading.Thread(target=self._work) for _ in range(_THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def _work(self) -> None:
        market = self.market
        for number in self._numbers():
            ask = ask_of(market.plan.wanted(number), market.payer)
            answer = patiently(partial(market.authority.request, ask))
            rule = "-" if answer.denial is None else answer.denial.rule
            line = f"{number} {answer.reservation_id} {answer.transaction_id} {rule}\n"
            with self._lock, self.path.open("a") as file:
                file.write(line)

    def _numbers(self) -> Iterator[int]:
        while True:
            with self._lock:
                number = next(self._left, None)
            if number is None:
                return
            self._wait()
            yield number

    def _wait(self) -> None:
        """Not much more is asked for than is funded meanwhile, so that all that there is happens at once."""
        while patiently(self._waiting) >= _BACKLOG:
            time.sleep(_PAUSE)

    def _waiting(self) -> int:
        with self.market.ledger.read() as connection:
            return dispatches.count_waiting(connection, self.market.account)

    def _end_line(self) -> None:
        """The last one may be a half, which is asked for again."""
        text = self.path.read_text()
        self.path.write_text(text[: text.rfind("\n") + 1])


def whole_lines(path: Path) -> list[str]:
    """The answers in a file, without a last line that was not written to its end."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    plan = Plan.read(Path(sys.argv[1]))
    market = patiently(lambda: Market(plan, key_of_this_process()))
    say_ready()
    Asking(market, int(sys.argv[2]), int(sys.argv[3])).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

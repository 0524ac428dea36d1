"""Random lives of transactions: all that hypothesis may do."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.exits import check_exits
from tests.model.rules_around import Surroundings
from tests.model.rules_disputes import Disputes
from tests.model.rules_life import Life
from tests.model.strategies import (
    seldom,
)


class KernelMachine(Life, Disputes, Surroundings):
    """One run. At its end, and sometimes before, everything that holds money has to find its exit."""

    def teardown(self) -> None:
        # What can be checked after every run must not hide why a run has failed.
        if self.harness.is_intact:
            self.harness.compare()
            self.harness.compare_governance()
            if self.harness.open_funded():
                check_exits(self.harness, block_parties=False)
                check_exits(self.harness, block_parties=True)

    @precondition(lambda self: self.harness.open_funded())
    @rule(really=seldom, block_parties=st.booleans())
    def end_everything(self, really: bool, block_parties: bool) -> None:
        """It costs as much as many steps, hence seldom."""
        if really:
            check_exits(self.harness, block_parties=block_parties)

"""What a worker logs: each thing that it has done, once, and nothing that is private."""

from __future__ import annotations

import logging

from actp.testing import FakeClock
from coordinator.budget.rulebook import ApprovalRules
from tests.coordinator.worker.support import NEVER, USDC, agent, book


def test_each_change_of_a_reservation_and_each_return_and_comparison_is_a_line(firm, caplog):
    """Else somebody who watches a worker sees nothing until something is wrong."""
    caplog.set_level(logging.INFO, logger="coordinator.worker")
    worker = firm.worker()
    worker.look()
    answers = [firm.request(amount * USDC) for amount in (100, 25)]
    firm.funded(worker, *answers)
    firm.provider.kernel.cancel(answers[0].transaction_id)
    firm.rounds(worker)
    first, second = answers
    operation = firm.find(first).operation_id
    shown = {one.reservation_id: one.transaction_id[:10] for one in answers}
    said = [line for line in caplog.messages if not line.startswith("ledger and chain agree")]
    assert (
        said[0]
        == f"requests {first.reservation_id}, {second.reservation_id} of ann: handed on as operation {operation}"
    )
    number = first.reservation_id
    mine = [line for line in said if line.startswith(f"request {number} ")]
    what = f"100.00 USDC, transaction {shown[number]}..., operation {operation}"
    changes = [line for line in mine if "->" in line]
    assert changes[0].startswith(f"request {number} of ann: held -> ")
    assert all(line.endswith(f", {what}") for line in changes)
    steps = [line.split(": ")[1].split(",")[0].split(" -> ") for line in changes]
    assert steps[-1][1] == "committed"
    assert [after for _, after in steps[:-1]] == [before for before, _ in steps[1:]], "no change is left out"
    assert mine[-1] == f"request {number} of ann: 100.00 USDC came back of {what}"
    assert any(line.startswith("ledger and chain agree at block ") for line in caplog.messages)
    assert "a thing" not in caplog.text, "a purpose is nobody's business"
    assert firm.account.private_key.removeprefix("0x") not in caplog.text


def test_what_expires_is_counted(firm, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="coordinator.worker")
    firm.authority.apply(book(2_000 * USDC, agent("bob", requires_approval=0), approvals=ApprovalRules(seconds=1)), "t")
    worker = firm.worker()
    worker.look()
    firm.request(who="bob")
    monkeypatch.setattr(firm.ledger.store, "clock", FakeClock(wall=firm.ledger.now() + 2))
    worker._chores_at = NEVER
    worker.step()
    assert "expired, as nobody has answered in time: 1" in caplog.messages

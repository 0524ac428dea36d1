"""What may go wrong around a settlement, and what the bot makes of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actp.errors import RpcError
from actp.types import State
from actp.units import keccak
from coordinator.store import index_records
from coordinator.store.alerts import AlertKind
from coordinator.store.index_words import ActionState
from coordinator.types import Stage
from tests.coordinator.settlement.support import BOT, HOUR, NET, OTHER_BOT, Meddler, Town

# ---------------------------------------------------------------- the token and the kernel


@pytest.mark.slow
def test_a_provider_on_the_block_list_gets_a_credit_and_holds_up_nobody(town: Town) -> None:
    blocked, free = town.delivered(2), town.delivered(2, provider=town.other)
    before = town.other.token.balance_of()
    town.act("TestUSDC", "blacklist", town.provider.address)
    town.later()
    assert town.bot().wait()
    assert town.states(blocked + free) == [State.SETTLED] * 4
    assert town.admin.balances(town.provider.address).credit == 2 * NET
    assert town.other.token.balance_of() - before == 2 * NET
    assert town.breaches() == []
    assert [one.stage for one in town.operations()] == [Stage.CONFIRMED]


@pytest.mark.slow
def test_a_paused_token_stops_no_settlement(town: Town) -> None:
    ids = town.delivered(2)
    town.act("TestUSDC", "pause")
    town.later()
    assert town.bot().wait()
    assert town.states(ids) == [State.SETTLED] * 2
    assert town.admin.balances(town.provider.address).credit == 2 * NET
    assert town.breaches() == []


@pytest.mark.slow
def test_neither_a_paused_kernel_nor_a_vault_without_approval_stops_a_settlement(town: Town) -> None:
    ids = town.delivered(2)
    town.act("ACTPKernel", "pause")
    town.act("ACTPKernel", "approveEscrowVault", town.admin.escrow.address, False)
    town.later()
    assert town.bot().wait()
    assert town.states(ids) == [State.SETTLED] * 2


# ---------------------------------------------------------------- somebody else is faster


@pytest.mark.slow
@pytest.mark.parametrize("taken", [1, 3], ids=["some of a batch", "all of a batch"])
def test_what_a_stranger_settles_before_ours_is_mined_is_done_and_not_tried_again(town: Town, taken: int) -> None:
    ids = town.delivered(3)
    town.later()
    node = Meddler(town.chain)
    rushed: list[str] = []

    def rush(method: str, params: list[Any]) -> None:
        if method == "eth_sendRawTransaction" and not rushed:
            rushed.extend(ids[:taken])
            town.requester.settle_many(rushed)

    node.before = rush
    bot = town.bot(node=node)
    assert bot.wait()
    town.work(bot, 5)

    assert rushed
    assert town.states(ids) == [State.SETTLED] * 3
    (operation,) = town.operations()
    assert operation.stage is Stage.CONFIRMED
    assert town.outcomes() == {one: [(True, None)] for one in ids}
    ours = {one.transaction_id: one.ours for each in town.passes for one in each.outcomes}
    assert ours == {one: one not in rushed for one in ids}
    assert {one.state for one in town.actions().values()} == {ActionState.DONE}
    assert town.breaches() == []
    assert town.alerts() == []


@pytest.mark.slow
def test_what_was_settled_before_the_look_costs_no_eth_transaction(town: Town) -> None:
    ids = town.delivered(2)
    town.later()
    bot = town.bot()
    town.requester.settle_many(ids)
    assert bot.wait()
    assert town.count_operations() == 0


# ---------------------------------------------------------------- nodes


@pytest.mark.slow
def test_a_missed_dispute_is_found_before_anything_is_sent_about_it(town: Town) -> None:
    (disputed,) = town.delivered()
    node = Meddler(town.chain)
    bot = town.bot(node=node)
    bot.step()
    node.answer = _without(disputed, "StateTransitioned", "DisputeOpened", "BondPosted")
    town.requester.kernel.dispute(disputed, b"not what was asked for")
    town.later()
    town.work(bot, 20)
    assert town.rows()[disputed].state is State.DISPUTED
    assert [one.transaction_id for one in _repairs(town)] == [disputed]
    assert not any(one.tx_hash for one in town.operations())
    assert town.alerts() == []


@pytest.mark.slow
def test_a_missed_delivery_is_found_and_settled(town: Town) -> None:
    (one,) = town.funded()
    node = Meddler(town.chain)
    bot = town.bot(node=node, verify_every=0.0)
    bot.step()
    node.answer = _without(one, "StateTransitioned")
    town.provider.deliver_many([one])
    town.later()
    assert bot.wait()
    assert {repair.transaction_id for repair in _repairs(town)} == {one}
    assert town.state(one) is State.SETTLED


@pytest.mark.slow
def test_a_node_that_refuses_ranges_of_logs_delays_and_stops_nothing(town: Town) -> None:
    ids = town.delivered(2)
    town.chain.mine(60)
    town.later()
    node = Meddler(town.chain)
    refused: list[int] = []

    def refuse(method: str, params: list[Any], answer: Any) -> Any:
        if method != "eth_getLogs" or "blockHash" in params[0]:
            return answer
        size = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        if size <= 7:
            return answer
        refused.append(size)
        return RpcError(-32005, "query returned more than 10000 results")

    node.answer = refuse
    assert town.bot(node=node).wait()
    assert refused
    assert town.states(ids) == [State.SETTLED] * 2


@pytest.mark.slow
def test_an_event_of_a_newer_kernel_stops_nothing(town: Town) -> None:
    ids = town.delivered(2)
    town.later()
    node = Meddler(town.chain)
    topic = "0x" + keccak(b"Unheard(bytes32)").hex()

    def add(method: str, params: list[Any], answer: Any) -> Any:
        if method != "eth_getLogs" or not isinstance(answer, list) or not answer:
            return answer
        if not any(ids[0] in log["topics"] for log in answer):
            return answer
        strange = {**answer[-1], "topics": [topic, ids[0]], "data": "0x"}
        return [*answer, {**strange, "logIndex": hex(int(answer[-1]["logIndex"], 16) + 1)}]

    node.answer = add
    bot = town.bot(node=node)
    assert bot.wait()
    assert town.states(ids) == [State.SETTLED] * 2
    with town.ledger.read() as connection:
        assert [one.topic for one in index_records.unknown_of(connection, bot._served[0].kernel_id)] == [topic]


@pytest.mark.slow
def test_a_node_that_is_away_for_a_while_loses_nothing(town: Town) -> None:
    ids = town.delivered(2)
    town.later()
    node = Meddler(town.chain)
    away = iter(range(25))

    def leave(method: str, params: list[Any], answer: Any) -> Any:
        return answer if next(away, None) is None else RpcError(-32000, "busy")

    bot = town.bot(node=node)
    node.answer = leave
    assert bot.wait()
    assert next(away, None) is None
    assert town.states(ids) == [State.SETTLED] * 2


# ---------------------------------------------------------------- bad escrows


@pytest.mark.slow
def test_one_bad_escrow_is_found_reported_and_put_off_and_the_others_are_settled(town: Town) -> None:
    ids = town.delivered(8)
    bad = ids[3]
    town.later()
    node = Meddler(town.chain)
    node.answer = _poisoned(bad)
    bot = town.bot(node=node, batch=8)
    assert bot.wait()

    assert {one: town.state(one) for one in ids} == {
        one: State.DELIVERED if one == bad else State.SETTLED for one in ids
    }
    # Of eight, four, two, and alone: and then with the name of what speaks against it.
    row = town.actions()["settle", bad]
    assert (row.state, row.attempts) == (ActionState.FAILED, 4)
    assert row.next_at > town.ledger.now()
    assert row.reason
    (alert,) = town.alerts()
    assert alert.kind is AlertKind.SETTLEMENT
    assert bad in alert.body
    assert row.code in alert.body


@pytest.mark.slow
def test_a_bad_escrow_is_tried_again_ever_more_rarely_and_settled_in_the_end(timed: Town) -> None:
    town = timed
    (bad,) = town.delivered()
    town.later()
    node = Meddler(town.chain)
    node.answer = _poisoned(bad)
    bot = town.bot(node=node, batch=1, first_pause=10.0, longest_pause=35.0)
    pauses = []
    for _ in range(4):
        town.work(bot, 6)
        row = town.actions()["settle", bad]
        pauses.append(row.next_at - row.updated_at)
        town.store.clock.advance(pauses[-1] + 1)
    assert pauses == [10.0, 20.0, 35.0, 35.0]
    assert len(town.alerts()) == 1

    node.answer = None
    town.work(bot)
    assert town.state(bad) is State.SETTLED
    assert town.actions()["settle", bad].attempts == 0


@pytest.mark.slow
def test_a_bot_whose_node_is_away_says_so_once_and_not_at_each_look(town: Town, caplog) -> None:
    node = Meddler(town.chain)
    bot = town.bot(node=node)
    town.work(bot, 3)
    node.answer = lambda method, params, answer: RpcError(-32000, "busy")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            with pytest.raises(RpcError):
                bot.step()
    assert len([one for one in caplog.messages if "cannot be read" in one]) == 1
    node.answer = None
    town.work(bot, 3)


# ---------------------------------------------------------------- gas


@pytest.mark.slow
def test_a_bot_without_gas_says_so_once_goes_on_indexing_and_continues_when_funded(town: Town, caplog) -> None:
    ids = town.delivered(2)
    town.later()
    address = town.accounts[BOT].address
    town.chain.request("anvil_setBalance", [address, "0x0"])
    bot = town.bot()
    with caplog.at_level(logging.WARNING):
        town.work(bot, 10)
    assert len([one for one in caplog.records if "waits" in one.message]) == 1
    assert town.count_operations() == 0
    assert bot.waits is not None
    assert [one.kind for one in town.alerts()] == [AlertKind.SETTLEMENT]
    (more,) = town.delivered()
    town.work(bot, 2)
    assert town.rows()[more].state is State.DELIVERED

    town.chain.request("anvil_setBalance", [address, hex(10**18)])
    assert bot.wait()
    assert town.states(ids) == [State.SETTLED] * 2


@pytest.mark.slow
def test_what_fees_make_too_dear_waits_until_they_fall(town: Town) -> None:
    ids = town.delivered(2)
    town.later()
    node = Meddler(town.chain)
    node.answer = _fees(2 * 10**11)  # more than this bot pays, and less than the engine would by itself
    bot = town.bot(node=node, gas=_limits(per_gas=10**11))
    town.work(bot, 10)
    assert town.count_operations() == 0
    assert bot.waits is not None
    node.answer = None
    assert bot.wait()
    assert town.states(ids) == [State.SETTLED] * 2


@pytest.mark.slow
def test_no_more_than_the_limit_for_each_escrow_is_ever_signed(town: Town) -> None:
    ids = town.delivered(2)
    town.later()
    bot = town.bot(gas=_limits(per_escrow=1_000))
    town.work(bot, 10)
    assert town.count_operations() == 0
    assert "for each" in (bot.waits or "")

    # What the token makes dearer than anybody expects is denied when it is simulated.
    bot._gas._limits = _limits()
    town.work(bot, 4)
    assert {(one.stage, one.failed_at, one.code) for one in town.operations()} == {
        (Stage.FAILED, Stage.POLICY_EVAL, "max_fee_wei")
    }
    assert town.states(ids) == [State.DELIVERED] * 2
    assert town.alerts() == [] or {one.title for one in town.alerts()} == {"The settlement bot waits"}


@pytest.mark.slow
def test_no_more_than_the_limit_of_a_day_is_signed(timed: Town) -> None:
    town = timed
    town.later(3600)
    first = town.delivered(1)
    town.later()
    free = town.bot()
    town.work(free)
    assert town.states(first) == [State.SETTLED]
    with town.store.read() as connection:
        from coordinator.store import losses

        spent = losses.since(connection, town.wallet(), 0)["ETH"]

    ids = town.delivered(2)
    town.later()
    bot = town.bot(gas=_limits(per_day=spent + 1_000))
    town.work(bot, 10)
    assert town.states(ids) == [State.DELIVERED] * 2
    assert "of a day" in (bot.waits or "")
    town.store.clock.advance(24 * 3600)
    bot = town.bot(gas=_limits(per_day=10**17))
    town.work(bot)
    assert town.states(ids) == [State.SETTLED] * 2


# ---------------------------------------------------------------- breaches and pauses


@pytest.mark.slow
def test_a_breach_pauses_the_wallet_and_the_bot_goes_on_looking(town: Town) -> None:
    bot = town.bot()
    town.work(bot, 3)
    # Somebody who has the key sends past the lifecycle.
    town.client(BOT).token.approve(town.other.address, 1)
    ids = town.delivered(2)
    town.later()
    town.work(bot, 10)
    assert town.breaches()
    assert town.states(ids) == [State.DELIVERED] * 2
    assert "paused" in (bot.waits or "")
    assert town.rows()[ids[0]].state is State.DELIVERED

    # Another wallet of the same store is not concerned.
    other = town.bot(OTHER_BOT, stale_seconds=0.001)
    assert other.wait()
    assert town.states(ids) == [State.SETTLED] * 2


@pytest.mark.slow
def test_an_escrow_that_cannot_be_ended_does_not_hold_up_refunds(town: Town) -> None:
    (bad,) = town.delivered(window=HOUR)
    (undelivered,) = town.funded()
    node = Meddler(town.chain)
    node.answer = _poisoned(bad)
    town.later(9 * 24 * HOUR)
    assert town.bot(node=node).wait()
    assert town.states([bad, undelivered]) == [State.DELIVERED, State.CANCELLED]


# ---------------------------------------------------------------- helpers


def _limits(**limits: int) -> Any:
    from coordinator.settlement import GasLimits

    return GasLimits(**limits)


def _repairs(town: Town) -> list[Any]:
    with town.ledger.read() as connection:
        return index_records.repairs_of(connection, 1)


def _without(transaction_id: str, *names: str) -> Any:
    """Leaves the logs of these events about an escrow out of what the node tells."""
    from actp import artifacts

    topics = {
        "0x" + keccak(artifacts.signature_of(entry).encode()).hex()
        for entry in artifacts.load("ACTPKernel").abi
        if entry["type"] == "event" and entry["name"] in names
    }

    def answer(method: str, params: list[Any], found: Any) -> Any:
        if method != "eth_getLogs" or not isinstance(found, list):
            return found
        return [log for log in found if log["topics"][0] not in topics or transaction_id not in log["topics"]]

    return answer


def _poisoned(transaction_id: str) -> Any:
    """The node says that every call about an escrow reverts."""

    def answer(method: str, params: list[Any], found: Any) -> Any:
        if method in ("eth_call", "eth_estimateGas", "eth_simulateV1") and transaction_id[2:] in str(params):
            if _is_view(params):
                return found
            return RpcError(3, "execution reverted", data="0x82b42900")
        return found

    return answer


def _is_view(params: list[Any]) -> bool:
    """Whether a call only reads, as those of the index and of the builders do."""
    call = params[0]
    return isinstance(call, dict) and "from" not in call


def _fees(base: int) -> Any:
    def answer(method: str, params: list[Any], found: Any) -> Any:
        if method == "eth_feeHistory" and isinstance(found, dict):
            return {**found, "baseFeePerGas": [hex(base)] * len(found["baseFeePerGas"])}
        return found

    return answer

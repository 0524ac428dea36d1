"""Events in chain order, with a cursor that survives restarts, refusals of nodes and reorganisations."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest

from actp import events as events_module
from actp.client import ACTPClient
from actp.decoding import EventDecoder
from actp.errors import InvalidInput, RpcError, RpcUnavailable, UnsupportedByKernel
from actp.events import Cursor, Event, EventPage, Events, StaleCursor
from actp.kernel_views import transaction_of
from actp.networks import Endpoint
from actp.types import Log, State
from actp.units import keccak
from tests.client.support import (
    HOUR,
    NOBODY,
    PRICE,
    act,
    delivered,
    disputed,
    funded,
    open_transaction,
    refused,
)
from tests.engine.faults import FaultyTransport


@pytest.fixture
def events(endpoint: Endpoint, faulty: FaultyTransport) -> Events:
    """The deployment's events over a node that can be told to misbehave."""
    deployment = endpoint.deployment
    decoder = EventDecoder({deployment.kernel: "ACTPKernel", deployment.vault: "EscrowVault"})
    return Events(faulty, decoder, start=endpoint.start_block)


def head(endpoint: Endpoint) -> int:
    return int(endpoint.transport.request("eth_blockNumber", []), 16)


class TestWhatIsRead:
    def test_events_are_typed_and_in_chain_order(self, requester: ACTPClient, provider: ACTPClient) -> None:
        before = requester.events.since().cursor
        tx_id = open_transaction(requester, provider)
        linked = requester.fund_transaction(tx_id)
        page = requester.events.since(before)
        assert [event.name for event in page] == [
            "TransactionCreated",
            "StateTransitioned",
            "EscrowLinked",
            "EscrowCreated",
        ]
        assert len(page) == 4
        created, moved, _, escrowed = page
        assert created.args["provider"] == provider.address
        assert created.args["amount"] == PRICE
        assert (moved.args["oldState"], moved.args["newState"]) == (State.INITIATED, State.COMMITTED)
        assert (moved.tx_hash, moved.block, moved.block_hash) == (linked.tx_hash, linked.block, linked.block_hash)
        assert {event.transaction_id for event in page} == {tx_id}
        assert (created.contract, escrowed.contract) == (requester.kernel.address, requester.escrow.address)
        assert all((a.block, a.log_index) < (b.block, b.log_index) for a, b in pairwise(page))

    def test_a_result_carries_the_events_of_its_own_eth_transaction(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        before = requester.events.since().cursor
        tx_id = delivered(requester, provider)
        result = requester.kernel.settle(tx_id)
        assert result.events == tuple(e for e in requester.events.since(before) if e.tx_hash == result.tx_hash)

    def test_the_whole_story_starts_at_the_deployment(self, requester: ACTPClient, endpoint: Endpoint) -> None:
        first = requester.events.since().events[0]
        assert (first.name, first.args["vault"]) == ("EscrowVaultApproved", requester.escrow.address)
        assert first.transaction_id is None
        assert first.block > endpoint.start_block

    def test_names_and_transaction_choose(self, requester: ACTPClient, provider: ACTPClient) -> None:
        one, two = (open_transaction(requester, provider) for _ in range(2))
        requester.fund_transaction(two)
        created = requester.events.since(names=["TransactionCreated"])
        assert [event.transaction_id for event in created] == [one, two]
        assert [event.name for event in requester.events.since(transaction_id=one)] == ["TransactionCreated"]
        assert [event.name for event in requester.events.since(names="EscrowCreated", transaction_id=two)] == [
            "EscrowCreated"
        ]
        assert requester.events.since(transaction_id=NOBODY).events == ()
        several = requester.events.since(names="TransactionCreated", transaction_id=[two, NOBODY])
        assert [event.transaction_id for event in several] == [two]
        assert len(requester.events.since(names="TransactionCreated", transaction_id=(one, two))) == 2

    def test_the_newest_blocks_can_be_left_out_of_what_somebody_created(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        one, _ = (open_transaction(requester, provider) for _ in range(2))
        page = requester.events.created_by(requester.address, confirmations=1)
        assert [event.transaction_id for event in page] == [one]

    @pytest.mark.parametrize(
        "arguments",
        [
            {"names": ["TransactionCreatd"]},
            {"names": []},
            {"transaction_id": "0x12"},
            {"transaction_id": ["0x12"]},
            {"transaction_id": []},
            {"confirmations": -1},
            {"max_blocks": 0},
            {"max_events": 0},
            {"cursor": "yesterday"},
            {"cursor": "7:0x12"},
        ],
    )
    def test_questions_that_make_no_sense_are_refused(
        self, requester: ACTPClient, endpoint: Endpoint, arguments: dict[str, Any]
    ) -> None:
        with refused(InvalidInput, requester, endpoint):
            requester.events.since(**arguments)

    def test_credits_belong_to_their_transaction(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        tx_id = delivered(requester, provider)
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        requester.kernel.settle(tx_id)
        (credit,) = requester.events.since(names="CreditAccrued")
        assert (credit.transaction_id, credit.args["payee"]) == (tx_id, provider.address)

    def test_what_no_contract_of_ours_declares_is_handed_on_as_it_is(
        self, requester: ACTPClient, provider: ACTPClient, events: Events, faulty: FaultyTransport
    ) -> None:
        cursor = events.since().cursor
        open_transaction(requester, provider)
        faulty.once("eth_getLogs", lambda real, params: [{**one, "topics": [NOBODY]} for one in real()])
        page = events.since(cursor)
        assert page.events == ()
        assert [log.topics for log in page.unknown] == [(NOBODY,)]
        assert page.cursor.block == cursor.block + 1

    def test_events_can_be_kept(self, requester: ACTPClient, provider: ACTPClient) -> None:
        open_transaction(requester, provider)
        event = requester.events.since(names="TransactionCreated").events[0]
        assert pickle.loads(pickle.dumps(event)) == event
        assert {event: 1}[event] == 1
        with pytest.raises(AttributeError):
            event.name = "Other"  # type: ignore[misc]
        with pytest.raises(TypeError):
            event.args["amount"] = 0  # type: ignore[index]


class TestCursor:
    @pytest.mark.slow
    def test_every_event_is_read_exactly_once(self, requester: ACTPClient, provider: ACTPClient) -> None:
        seen: list[Event] = []
        cursor = None
        for step in (open_transaction, funded, delivered, disputed):
            step(requester, provider)
            page = requester.events.since(cursor)
            seen += page.events
            cursor = Cursor.parse(str(page.cursor))
        assert tuple(seen) == requester.events.since().events
        assert requester.events.since(cursor).events == ()
        assert requester.events.since(str(cursor)).cursor == cursor

    def test_small_pages_add_up_to_the_whole(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        disputed(requester, provider)
        seen: list[Event] = []
        page = requester.events.since(max_blocks=2)
        while page.cursor.block < head(endpoint):
            seen += page.events
            page = requester.events.since(page.cursor, max_blocks=2)
        assert tuple(seen) + page.events == requester.events.since().events

    @pytest.mark.slow
    def test_a_page_ends_with_the_range_in_which_there_are_so_many_events(
        self, requester: ACTPClient, provider: ACTPClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events_module, "_FIRST_BLOCKS", 2)
        for _ in range(3):
            disputed(requester, provider)
        for _ in range(8):
            requester.chain.mine()
        whole = requester.events.since()
        seen: list[Event] = []
        sizes = []
        page = requester.events.since(max_events=4)
        while page.cursor != whole.cursor:
            sizes.append(len(page))
            seen += page.events
            page = requester.events.since(page.cursor, max_events=4)
        assert tuple(seen) + page.events == whole.events
        assert len(sizes) > 3
        assert max(sizes) < len(whole) / 2
        assert min(sizes) >= 4

    def test_a_look_at_a_chain_without_a_new_block_asks_for_no_logs(
        self, requester: ACTPClient, events: Events, faulty: FaultyTransport
    ) -> None:
        cursor = events.since().cursor
        asked = len(faulty.calls)
        assert events.since(cursor) == EventPage((), cursor)
        assert len(faulty.calls) == asked + 2

    def test_confirmations_leave_out_the_newest_blocks(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
    ) -> None:
        cursor = requester.events.since().cursor
        tx_id = open_transaction(requester, provider)
        page = requester.events.since(cursor, confirmations=1)
        assert page.events == ()
        requester.chain.mine()
        assert [event.transaction_id for event in requester.events.since(page.cursor, confirmations=1)] == [tx_id]

    def test_confirmations_never_move_a_cursor_back(self, requester: ACTPClient) -> None:
        cursor = requester.events.since().cursor
        assert requester.events.since(cursor, confirmations=3).cursor == cursor

    def test_a_deployment_younger_than_the_confirmations_has_a_cursor(self, requester: ACTPClient) -> None:
        page = requester.events.since(confirmations=1_000)
        assert page.events == ()
        assert len(requester.events.since(page.cursor)) == len(requester.events.since())

    def test_a_reorganised_block_is_reported_and_not_skipped(self, requester: ACTPClient, provider: ACTPClient) -> None:
        chain = requester.chain
        older = requester.events.since().cursor
        before = chain.snapshot()
        open_transaction(requester, provider)
        cursor = requester.events.since().cursor
        chain.revert(before)
        chain.time_travel(HOUR)
        other = open_transaction(requester, provider, amount=PRICE + 1)
        chain.mine()
        with pytest.raises(StaleCursor) as caught:
            requester.events.since(cursor)
        assert caught.value.cursor == cursor
        assert "older cursor" in caught.value.hint
        assert [event.transaction_id for event in requester.events.since(older)] == [other]

    def test_a_node_that_is_behind_does_not_move_the_cursor_back(
        self, requester: ACTPClient, provider: ACTPClient, events: Events, faulty: FaultyTransport
    ) -> None:
        stale = faulty.request("eth_blockNumber", [])
        open_transaction(requester, provider)
        cursor = events.since().cursor
        faulty.once("eth_blockNumber", lambda real, params: stale)
        page = events.since(cursor)
        assert (page.events, page.cursor) == ((), cursor)


def limited(
    blocks: int, error: RpcError | RpcUnavailable, seen: list[int]
) -> Callable[[Callable[[], Any], list[Any]], Any]:
    """A node that serves logs of at most so many blocks at once."""

    def handler(real: Callable[[], Any], params: list[Any]) -> Any:
        size = 1 if "blockHash" in params[0] else int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        seen.append(size)
        if size > blocks:
            raise error
        return real()

    return handler


class TestNodesThatRefuse:
    @pytest.mark.slow
    @pytest.mark.parametrize("blocks", [1, 3, 10])
    def test_ranges_are_halved_until_the_node_answers(
        self,
        requester: ACTPClient,
        provider: ACTPClient,
        endpoint: Endpoint,
        events: Events,
        faulty: FaultyTransport,
        blocks: int,
    ) -> None:
        for _ in range(3):
            disputed(requester, provider)
        seen: list[int] = []
        faulty.always("eth_getLogs", limited(blocks, RpcError(-32614, "limited to a small range"), seen))
        assert events.since().events == requester.events.since().events
        read = sum(size for size in seen if size <= blocks)
        assert read == head(endpoint) - endpoint.start_block + 1, "a block was read twice, or left out"
        assert len([size for size in seen if size > blocks]) <= 12

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "refusal",
        [
            RpcError(-32005, "query returned more than 10000 results", retryable=True),
            RpcError(-32005, "block range is too wide", retryable=True),
            RpcUnavailable("no answer within 20 s", code="timeout"),
            RpcUnavailable("HTTP 413", code="too_large", retryable=False),
        ],
    )
    def test_whatever_a_node_says_to_too_much_is_answered_with_less(
        self,
        requester: ACTPClient,
        provider: ACTPClient,
        events: Events,
        faulty: FaultyTransport,
        refusal: RpcError | RpcUnavailable,
    ) -> None:
        for _ in range(3):
            disputed(requester, provider)
        faulty.always("eth_getLogs", limited(3, refusal, []))
        assert events.since().events == requester.events.since().events

    @pytest.mark.slow
    def test_the_range_that_a_node_serves_is_remembered_from_page_to_page(
        self, requester: ACTPClient, provider: ACTPClient, events: Events, faulty: FaultyTransport
    ) -> None:
        for _ in range(4):
            disputed(requester, provider)
        seen: list[int] = []
        faulty.always("eth_getLogs", limited(3, RpcError(-32614, "limited to a small range"), seen))
        found: list[Event] = []
        page = events.since(max_blocks=8)
        while len(page) or page.cursor != events.since(page.cursor, max_blocks=8).cursor:
            found += page.events
            page = events.since(page.cursor, max_blocks=8)
        assert tuple(found) == requester.events.since().events
        assert len([size for size in seen if size > 3]) <= 3

    @pytest.mark.slow
    def test_a_range_that_was_refused_once_is_tried_again_after_a_while(
        self, requester: ACTPClient, endpoint: Endpoint, events: Events, faulty: FaultyTransport
    ) -> None:
        seen: list[int] = []
        refusals = iter([RpcError(-32005, "query returned more than 10000 results")])

        def once(real: Callable[[], Any], params: list[Any]) -> Any:
            seen.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
            for error in refusals:
                raise error
            return real()

        for _ in range(120):
            requester.chain.mine()
        cursor = events.since(max_blocks=1).cursor
        faulty.always("eth_getLogs", once)
        for _ in range(20):
            cursor = events.since(cursor, max_blocks=4).cursor
        assert seen[:2] == [4, 2]
        assert seen[-1] == 4

    @pytest.mark.slow
    def test_a_refusal_of_a_single_block_is_passed_on(
        self, requester: ACTPClient, provider: ACTPClient, events: Events, faulty: FaultyTransport
    ) -> None:
        for _ in range(3):
            disputed(requester, provider)

        def only_by_hash(real: Callable[[], Any], params: list[Any]) -> Any:
            if "blockHash" not in params[0]:
                raise RpcError(-32000, "no logs here")
            return real()

        faulty.always("eth_getLogs", only_by_hash)
        with pytest.raises(RpcError, match="no logs here"):
            events.since()

    @pytest.mark.parametrize(
        "busy",
        [
            RpcError(-32016, "over rate limit", retryable=True),
            RpcError(-32005, "project ID request rate exceeded", retryable=True),
            RpcError(-32005, "daily request count exceeded, request rate limited", retryable=True),
            RpcUnavailable("HTTP 429", code="rate_limited"),
            RpcUnavailable("no connection"),
        ],
    )
    @pytest.mark.parametrize("by_hash", [True, pytest.param(False, marks=pytest.mark.slow)])
    @pytest.mark.slow
    def test_a_busy_node_is_not_asked_for_less(
        self,
        requester: ACTPClient,
        provider: ACTPClient,
        events: Events,
        faulty: FaultyTransport,
        busy: RpcError | RpcUnavailable,
        by_hash: bool,
    ) -> None:
        for _ in range(3):
            disputed(requester, provider)
        refused: list[str] = []

        def handler(real: Callable[[], Any], params: list[Any]) -> Any:
            if ("blockHash" in params[0]) != by_hash:
                return real()
            refused.append("once")
            raise busy

        faulty.always("eth_getLogs", handler)
        with pytest.raises(type(busy)) as caught:
            events.since()
        assert caught.value is busy
        assert refused == ["once"]

    def test_a_chain_that_changes_while_it_is_read_is_read_again(
        self, requester: ACTPClient, provider: ACTPClient, events: Events, faulty: FaultyTransport
    ) -> None:
        chain = requester.chain
        start = events.since().cursor
        asked = faulty.count("eth_getLogs")
        before = chain.snapshot()
        open_transaction(requester, provider)

        def reorganise(real: Callable[[], Any], params: list[Any]) -> Any:
            logs = real()
            chain.revert(before)
            chain.time_travel(HOUR)
            chain.mine()
            return logs

        faulty.once("eth_getLogs", reorganise)
        assert events.since(start).events == ()
        assert faulty.count("eth_getLogs") == asked + 2

    def test_a_chain_that_never_holds_still_is_given_up(
        self, events: Events, faulty: FaultyTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events_module, "_PAUSE_SECONDS", 0.0)
        real_hash = faulty.request("eth_getBlockByNumber", ["latest", False])["hash"]
        hashes = (digit + "0" * 63 for _ in range(100) for digit in "12")
        faulty.always(
            "eth_getBlockByNumber",
            lambda real, params: {**real(), "hash": "0x" + next(hashes), "parentHash": real_hash},
        )
        faulty.always("eth_getLogs", lambda real, params: [])
        with pytest.raises(RpcUnavailable, match=r"changed its newest blocks.*confirmations=1"):
            events.since()


class TestNodesThatLag:
    """Several nodes behind one URL, of which some have not got the newest block."""

    @staticmethod
    def without_the_newest(endpoint: Endpoint) -> Callable[[Callable[[], Any], list[Any]], Any]:
        """eth_getLogs of a node that is one block behind: it leaves out of a range what it has not got."""
        newest = endpoint.transport.request("eth_getBlockByNumber", ["latest", False])

        def handler(real: Callable[[], Any], params: list[Any]) -> Any:
            if params[0].get("blockHash") == newest["hash"]:
                raise RpcError(-32000, "unknown block")
            return [log for log in real() if log["blockHash"] != newest["hash"]]

        return handler

    @pytest.fixture(autouse=True)
    def _no_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(events_module, "_PAUSE_SECONDS", 0.0)

    def test_an_event_that_one_node_has_not_got_yet_is_not_passed_over(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, events: Events, faulty: FaultyTransport
    ) -> None:
        cursor = events.since().cursor
        tx_id = open_transaction(requester, provider)
        faulty.once("eth_getLogs", *[self.without_the_newest(endpoint)] * 2)
        seen = []
        for _ in range(3):
            page = events.since(cursor)
            seen += [event.transaction_id for event in page]
            cursor = page.cursor
        assert seen == [tx_id]

    def test_a_node_that_never_gets_the_block_is_an_error_that_says_so(
        self, requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, events: Events, faulty: FaultyTransport
    ) -> None:
        cursor = events.since().cursor
        open_transaction(requester, provider)
        faulty.always("eth_getLogs", self.without_the_newest(endpoint))
        with pytest.raises(RpcUnavailable, match=r"did not serve the logs of block \d+ .unknown block"):
            events.since(cursor)

    def test_a_node_without_the_block_that_another_one_named_is_not_called_reorganised(
        self, events: Events, faulty: FaultyTransport
    ) -> None:
        faulty.always("eth_getBlockByNumber", lambda real, params: None)
        with pytest.raises(RpcUnavailable, match=r"did not have block \d+"):
            events.since()

    def test_it_is_given_time_to_catch_up(
        self, events: Events, faulty: FaultyTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(events_module, "_PAUSE_SECONDS", 0.01)
        pauses: list[float] = []
        monkeypatch.setattr("time.sleep", pauses.append)
        faulty.once("eth_getBlockByNumber", lambda real, params: None, lambda real, params: None)
        events.since()
        assert [pause for pause in pauses if pause] == [0.01, 0.02]


class TestDecoding:
    ADDRESS = "0x" + "11" * 20

    def log(self, signature: str, *topics: str, data: str = "0x") -> Log:
        first = "0x" + keccak(signature.encode()).hex()
        return Log(self.ADDRESS, (first, *topics), data, 1, NOBODY, NOBODY, 0)

    def test_the_vault_of_g1_says_how_much_it_paid_when_it_closes_an_escrow(self) -> None:
        decoder = EventDecoder({self.ADDRESS: "EscrowVault"})
        event = decoder.decode(self.log("EscrowCompleted(bytes32,uint256)", NOBODY, data=f"0x{7:064x}"))
        assert event is not None
        assert (event.name, event.transaction_id, event.args["totalReleased"]) == ("EscrowCompleted", NOBODY, 7)

    def test_foreign_logs_are_left_out(self) -> None:
        decoder = EventDecoder({"0x" + "22" * 20: "ACTPKernel"})
        assert decoder.decode(self.log("KernelPaused(address,uint256)", NOBODY, data=f"0x{7:064x}")) is None
        decoder = EventDecoder({self.ADDRESS: "ACTPKernel"})
        assert decoder.decode(self.log("ArchiveTreasuryFailed(bytes32,uint256,bytes)", NOBODY)) is None
        assert decoder.decode(self.log("KernelPaused(address,uint256)", data=f"0x{7:064x}")) is None
        assert decoder.decode(Log(self.ADDRESS, (), "0x", 1, NOBODY, NOBODY, 0)) is None

    @pytest.mark.parametrize(("new", "name"), [(7, State.CANCELLED), (8, None)])
    def test_a_step_to_a_state_of_a_newer_kernel_is_no_event(self, new: int, name: State | None) -> None:
        topics = (NOBODY, f"0x{4:064x}", f"0x{new:064x}")
        log = self.log("StateTransitioned(bytes32,uint8,uint8,address,uint256)", *topics, data=f"0x{1:064x}{2:064x}")
        event = EventDecoder({self.ADDRESS: "ACTPKernel"}).decode(log)
        assert (None if event is None else event.args["newState"]) == name

    def test_a_state_of_a_newer_kernel_is_an_error_that_says_so(
        self, requester: ACTPClient, provider: ACTPClient
    ) -> None:
        record = requester.kernel.get_transaction(open_transaction(requester, provider))
        values = [getattr(record, field.name) for field in fields(record)]
        assert transaction_of(values) == record
        values[3] = 8
        with pytest.raises(UnsupportedByKernel, match="state 8"):
            transaction_of(values)

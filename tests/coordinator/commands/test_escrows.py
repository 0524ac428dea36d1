"""What the escrow index knows, on the command line."""

from __future__ import annotations

import threading
import time

import pytest

from actp.engine.store import open_store
from actp.rpc import HttpTransport
from actp.units import usdc
from coordinator.commands import _chain, escrows, positions
from coordinator.index import Index
from coordinator.store import index_actions, open_ledger, wallets
from coordinator.store.accounts import Account
from coordinator.store.index_words import Due
from tests.client.conftest import endpoint, provider, requester, resolver, stranger
from tests.client.support import PRICE, delivered, disputed, funded

__all__ = ["endpoint", "provider", "requester", "resolver", "stranger"]

HEADS = ("created (UTC)", "transaction", "USDC", "left", "state", "last", "due (UTC)")


@pytest.fixture
def market(shop, endpoint, requester, provider):
    """(ledger, ids): an escrow that is funded, one that is delivered, one that is disputed, all indexed."""
    ids = [begin(requester, provider) for begin in (funded, delivered, disputed)]
    ledger = open_ledger(open_store(shop.url))
    Index(ledger, endpoint).catch_up()
    yield ledger, ids
    ledger.store.close()


@pytest.fixture
def node(monkeypatch, endpoint):
    """Commands that need a node get this one."""
    for module in (_chain, escrows, positions):
        monkeypatch.setattr(module, "endpoint_of", lambda arguments: endpoint)
    return endpoint


@pytest.mark.slow
def test_escrows_are_listed_page_by_page_the_newest_first(run, market):
    _, ids = market
    found = run("escrows", "list", "--json").lines
    assert {one["transaction_id"] for one in found} == set(ids)
    assert [one["created_at"] for one in found] == sorted((one["created_at"] for one in found), reverse=True)
    first = run("escrows", "list", "--limit", 2, "--json").lines
    rest = run("escrows", "list", "--limit", 2, "--after", first[-1]["place"], "--json").lines
    assert first + rest == found
    said = run("escrows", "list", "--limit", 2)
    assert f"--after {first[-1]['place']}" in said.err
    assert said.out.splitlines()[0].split("  ")[0].strip() == HEADS[0]
    assert "100" in said.out


@pytest.mark.slow
def test_filters_choose(run, market, requester, provider, stranger):
    _, (committed, done, contested) = market

    def ids(*arguments):
        return {one["transaction_id"] for one in run("escrows", "list", *arguments, "--json").lines}

    assert ids("--state", "committed", "--state", "disputed") == {committed, contested}
    assert ids("--state", "COMMITTED") == {committed}, "as it is shown"
    assert ids("--party", requester.address) == ids("--party", provider.address) == set(market[1])
    assert ids("--party", provider.address, "--state", "delivered") == {done}
    assert ids("--party", stranger.address) == set()
    assert ids("--since", "2000-01-01") == set(market[1])
    assert ids("--kernel", requester.kernel.address) == set(market[1])


@pytest.mark.slow
def test_what_is_due_is_listed_even_if_somebody_does_it_already(run, market, requester):
    ledger, (committed, done, contested) = market
    with ledger.write() as connection:
        index_actions.claim(connection, 1, Due.SETTLE, [done], 7, ledger.now())
    found = run("escrows", "due", "--by", "2100-01-01", "--json").lines
    assert [(one["transaction_id"], one["due_kind"]) for one in found] == [
        (done, "settle"), (committed, "refund"), (contested, "close"),
    ]  # fmt: skip
    assert run("escrows", "due", "--by", "2000-01-01").err == "Nothing is due.\n"
    assert run("escrows", "due", "--by", "520w", "--json").lines == found, "a span is one ahead here"
    assert "for so long from now" in run("escrows", "due", "--by", "tomorrow").err
    shown = run("escrows", "show", done).out
    assert "claimed, operation 7" in shown


@pytest.mark.slow
def test_one_escrow_is_shown_with_all_that_is_known(run, market, requester, provider):
    _, (_, _, contested) = market
    shown = run("escrows", "show", contested)
    for text in (requester.address, provider.address, "DISPUTED", "100.00 USDC", "bond of the requester", "due"):
        assert text in shown.out, text
    one = run("escrows", "show", contested, "--json").json
    assert (one["state"], one["amount"], one["actions"], one["repairs"]) == ("DISPUTED", PRICE, [], [])
    assert one["kernel"] == requester.kernel.address


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("show", "0x12"), 2, "0x12"),
        (("show", "0x" + "ab" * 32), 2, "is in the index"),
        (("list", "--party", "nobody"), 2, "--party"),
        (("list", "--after", "yesterday"), 2, "no place in a list"),
        (("list", "--kernel", "0x" + "ab" * 20), 1, "there is: "),
        (("list", "--chain-id", "5"), 1, "there is: none"),
        (("watch", "--until", "settled"), 2, "needs the ids"),
        (("list", "--state", "sold"), 2, "invalid choice"),
        (("index", "--from-block", "-1", "--network", "local"), 2, "whole number"),
    ],
)
@pytest.mark.slow
def test_what_makes_no_sense_is_said(run, market, arguments, code, text):
    said = run("escrows", *arguments)
    assert (said.code, text in said.err) == (code, True), said


def test_without_an_index_it_is_said_how_to_begin_one(run, shop):
    for command in (("escrows", "list"), ("escrows", "due"), ("positions", "0x" + "05" * 20)):
        said = run(*command)
        assert said.code == 1
        assert said.err.startswith(f"coordinator: No kernel is indexed in {open_store(shop.url).label}. ")
        assert "coordinator escrows index" in said.err


@pytest.mark.slow
def test_positions_are_sums_and_with_a_node_also_what_is_free(run, market, node, requester, provider):
    (mine,) = run("positions", requester.address, "--json").lines
    assert (mine["locked"], mine["receivable"], mine["bonds"], mine["free"]) == (3 * PRICE, 0, usdc(5), None)
    (theirs,) = run("positions", provider.address, "--network", "local", "--json").lines
    assert (theirs["receivable"], theirs["open_as_provider"]) == (3 * PRICE, 3)
    assert theirs["free"] == provider.balances().usdc
    assert "300.00 USDC as requester of 3 open escrows" in run("positions", requester.address).out
    assert run("positions", "--wallet", requester.address, "--json").lines == [mine]
    assert "not allowed with" in run("positions", requester.address, "--wallet", requester.address).err
    assert "--wallet" in run("positions", "--wallet", "ann").err
    # The shop's treasury is the only one: what else signs is not meant.
    with market[0].write() as connection:
        wallets.require(connection, Account(31_337, requester.address))
    assert run("positions", "--json").lines[0]["locked"] == 0


def test_the_index_is_begun_kept_compared_and_rebuilt(run, shop, node, requester, provider):
    made = delivered(requester, provider)
    first = run("escrows", "index", "--network", "local", "--json").json
    assert first["behind"] == 0
    assert first["events"] > 3
    assert run("escrows", "list", "--json").lines[0]["transaction_id"] == made
    again = run("escrows", "index", "--network", "local", "--verify")
    assert "0 blocks, 0 events" in again.out
    refused = run("escrows", "index", "--network", "local", "--from-block", 3)
    assert (refused.code, "is indexed from block" in refused.err) == (1, True)
    later = run("escrows", "index", "--network", "local", "--from-block", 3, "--rebuild", "--json").json
    assert later["block"] == first["block"]


@pytest.mark.slow
def test_watching_prints_what_changes_until_it_is_what_was_waited_for(run, market, endpoint, requester):
    ledger, (_, done, _) = market
    other = open_ledger(open_store(ledger.store.engine.url.render_as_string(hide_password=False)))

    def settle():
        time.sleep(0.2)
        requester.kernel.settle(done)
        Index(other, endpoint).catch_up()

    worker = threading.Thread(target=settle)
    worker.start()
    said = run("escrows", "watch", done, "--until", "settled", "--for", 30, "--json")
    worker.join(30)
    other.store.close()
    assert said.code == 0
    assert [one["state"] for one in said.lines] == ["DELIVERED", "SETTLED"]
    nothing = run("escrows", "watch", "--for", 0)
    assert (nothing.code, nothing.out) == (0, "")
    assert run("escrows", "watch", market[1][0], "--until", "settled", "--for", 0).code == 1


@pytest.mark.slow
def test_nothing_but_the_store_is_asked_by_what_only_looks(run, market, monkeypatch):
    def asked(*arguments):
        raise AssertionError("a node was asked")

    monkeypatch.setattr(HttpTransport, "request", asked)
    monkeypatch.setattr(HttpTransport, "batch", asked)
    for command in (("escrows", "list"), ("escrows", "due"), ("escrows", "show", market[1][0])):
        assert run(*command).code == 0

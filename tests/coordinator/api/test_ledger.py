"""Attributes of a coordinator are views of its ledger, which outlives it."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from actp.client import ACTPClient
from actp.engine.store import Store, StoreError, open_store
from actp.errors import ConfigError, InvalidInput
from coordinator.api import BudgetCoordinator
from coordinator.api.home import default_file, store_of
from coordinator.authority import Change
from coordinator.budget.rulebook import RuleBook
from coordinator.budget.words import ReservationState
from tests.coordinator.api.support import ANN, PROVIDER, USDC, want

DAY = 86_400


def ask(coordinator, amount=10 * USDC, agent="ann", **more):
    return coordinator.request_spending(want(amount, agent, **more), wait=False)


def test_opening_again_forgets_nothing_and_another_total_is_a_change_of_limit(office):
    office.in_a_file = True
    first = office.deciding(600 * USDC)
    ask(first, 50 * USDC)
    first.provider_whitelist = {PROVIDER}
    first.close()
    again = office.deciding(100 * USDC)
    assert again.get_report() == {
        "total_budget": 100 * USDC,
        "total_spent": 0,
        "remaining": 50 * USDC,
        "by_agent": {},
        "pending_approvals": [],
        "reserved": 50 * USDC,
    }
    assert again.agents["ann"] == ANN
    assert again.provider_whitelist == {PROVIDER.lower()}
    assert ask(again, 51 * USDC, "boss").reason == "Would exceed total budget. Spent: 50.0, Budget: 100.0"
    assert office.events(again).count("rules_applied") == 5  # total, two agents, list, total


def test_opening_again_without_a_total_keeps_it(office):
    office.deciding(600 * USDC).close()
    again = office.deciding(None)
    assert again.total_budget == 600 * USDC
    assert office.events(again).count("rules_applied") == 3


def test_without_any_rules_everything_is_denied_and_looking_makes_none(office):
    """A denial is an answer, not an error: who asks too early is told what is missing, and asks again."""
    crew = BudgetCoordinator(office.client, store=office.store(), worker=False)
    denied = ask(crew)
    assert (denied.approved, denied.rule, denied.state) == (False, "no_limit", "denied")
    assert denied.reason == "No rules were applied yet: coordinator policy apply"
    assert office.events(crew) == ["denied"]
    crew.close()
    crew = office.deciding(None)  # with agents, and no total
    assert (ask(crew).rule, ask(crew).reason) == ("no_limit", "There is no total budget")
    assert crew.category_budgets["other"] == 100 * USDC, "the first rules have the usual budgets, whoever makes them"
    crew.total_budget = 600 * USDC
    assert ask(crew).approved


def test_rules_without_a_total_deny_everything(office):
    assert ask(office.deciding(None, rules=RuleBook())).reason == "There is no total budget"


@pytest.mark.parametrize("total", [-1, 2**63, 1.0, "1000", True])
def test_a_total_that_is_none_is_refused(office, total):
    with pytest.raises(InvalidInput, match="total_budget"):
        office.deciding(total)


def test_a_budget_below_what_is_in_use_grants_nothing_and_takes_nothing_back(office):
    crew = office.deciding(600 * USDC)
    ask(crew, 50 * USDC)
    crew.total_budget = 20 * USDC
    assert (crew.total_budget, crew.get_report()["remaining"]) == (20 * USDC, -30 * USDC)
    assert ask(crew, 50_000).rule == "total_budget"


def test_rules_from_a_file_replace_all_that_held(office, tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text('total_budget = "70 USDC"\n[agents.ann]\nrole = "junior"\n', encoding="utf-8")
    crew = office.deciding(600 * USDC)
    version = crew.rules.version
    assert crew.apply_rules(path) == version + 1
    assert (crew.total_budget, set(crew.agents)) == (70 * USDC, {"ann"})
    assert crew.apply_rules(path) == version + 1
    crew.close()
    office_rules = BudgetCoordinator(office.client, 80 * USDC, rules=path, store=office.store(), worker=False)
    assert (office_rules.total_budget, office_rules.rules.version) == (80 * USDC, version + 2)


def test_budgets_of_categories_change_as_a_dict_does(office):
    crew = office.deciding()
    crew.category_budgets["data"] = 5 * USDC
    crew.category_budgets["toys"] = None
    del crew.category_budgets["api"]
    assert crew.category_budgets == {"data": 5 * USDC, "compute": 500 * USDC, "other": 100 * USDC, "toys": None}
    assert ask(crew, 6 * USDC, category="data").reason == "Would exceed category budget. Spent: 0.0, Budget: 5.0"
    assert ask(crew, category="api").rule == "unknown_category"
    assert ask(crew, category="toys").approved
    crew.category_budgets = {"other": 1 * USDC}
    assert crew.category_budgets == {"other": 1 * USDC}
    assert repr(crew.category_budgets) == "{'other': 1000000}"
    for bad in ({"other": -1}, {"": 1}, {"other": 1.5}, 7):
        with pytest.raises(InvalidInput):
            crew.category_budgets = bad
    with pytest.raises(KeyError):
        del crew.category_budgets["api"]


def test_the_whitelist_changes_as_a_set_does(office):
    crew = office.deciding()
    assert crew.provider_whitelist is None
    crew.provider_whitelist = [PROVIDER]
    crew.provider_whitelist.add("0x" + "AB" * 20)
    assert crew.provider_whitelist == {PROVIDER, "0x" + "ab" * 20}
    assert "0x" + "AB" * 20 in crew.provider_whitelist
    crew.provider_whitelist.discard(PROVIDER)
    assert ask(crew).reason == "Provider not whitelisted"
    for bad in (["0xTrustedProvider1..."], ["0x" + "00" * 20]):
        with pytest.raises(InvalidInput):
            crew.provider_whitelist = bad
    crew.provider_whitelist = []
    assert ask(crew, provider="0x" + "ab" * 20).reason == "Provider not whitelisted"
    crew.provider_whitelist = None
    assert ask(crew).approved


def test_a_change_of_rules_that_was_overtaken_starts_again(office):
    """Else one of two agents that are registered at the same time would be lost."""
    crew, other = office.deciding(), office.deciding()
    seen = []

    def change(book):
        if not seen:
            other.register_agent(replace(ANN, id="bob"))
        seen.append(book.version)
        return book.with_agent(replace(book.agents["ann"], id="cat"))

    crew._rules.amend(change)
    assert set(crew.agents) == {"ann", "boss", "bob", "cat"}
    assert len(seen) == 2


def test_rules_as_they_were_can_be_applied_again(office):
    crew = office.deciding()
    before = crew.rules
    crew.total_budget = 1
    crew.apply_rules(before)
    assert crew.total_budget == 600 * USDC


def test_a_pause_holds_over_a_restart(office):
    office.in_a_file = True
    crew = office.deciding()
    for unknown in ("anne", ""):
        with pytest.raises(InvalidInput, match="no agent"):
            crew.pause(unknown, reason="looks odd")
    assert crew.pause("ann", reason="looks odd")
    assert not crew.pause("ann", reason="again")
    crew.close()
    crew = office.deciding()
    assert ask(crew).rule == "paused"
    assert ask(crew, agent="boss").approved
    assert crew.pause(reason="stop everything", by="ada")
    assert ask(crew, agent="boss").reason == "Everything is paused: stop everything"
    assert [(one.agent, one.by) for one in crew.paused()] == [(None, "ada"), ("ann", "operator")]
    assert crew.resume(reason="looked at it")
    assert crew.resume("ann", reason="looked at it")
    assert not crew.resume("ann", reason="again")
    assert ask(crew).approved


def test_a_new_day_archives_what_was_spent_and_gives_back_nothing_of_the_total(office, clock):
    crew = office.deciding(clock=clock)
    first = ask(crew, 50 * USDC)
    funded(crew, first)
    assert [one.tx_id for one in crew.spending] == [first.tx_id]
    assert (crew.archived_spending, crew.check_budget_reset()) == ([], False)
    clock.sleep(DAY)
    assert crew.check_budget_reset()
    assert (crew.spending, [one.amount for one in crew.archived_spending]) == ([], [50 * USDC])
    report = crew.get_report()
    assert (report["total_spent"], report["remaining"]) == (50 * USDC, 550 * USDC)
    assert ask(crew, 50 * USDC).remaining_daily == 250 * USDC


def test_records_and_sums_show_what_lies_in_escrow(office):
    crew = office.deciding()
    funded(crew, ask(crew, 50 * USDC, category="data"))
    funded(crew, ask(crew, 30 * USDC, "boss"))
    ask(crew, 7 * USDC)
    (one, other) = crew.spending
    assert (one.agent_id, one.amount, one.provider, one.purpose) == ("ann", 50 * USDC, PROVIDER, "A thing")
    assert (one.category, other.category) == ("data", "other")
    assert (crew.get_category_spending("data"), crew.get_category_spending("other")) == (50 * USDC, 30 * USDC)
    assert crew.get_category_spending("toys") == 0
    report = crew.get_report()
    assert report["by_agent"] == {"ann": 50.0, "boss": 30.0}
    assert (report["total_spent"], report["reserved"], report["remaining"]) == (80 * USDC, 7 * USDC, 513 * USDC)


def funded(crew, response):
    crew._authority.move([Change(response.reservation_id, ReservationState.ON_CHAIN)])


# ---------------------------------------------------------------- where the ledger is


def test_each_chain_and_treasury_has_a_file_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = default_file(84532, "0x" + "ab" * 32, "0x" + "CD" * 20)
    assert first == tmp_path / "actp" / f"84532-{'ab' * 6}-0x{'cd' * 20}.db"
    others = {
        default_file(1, "0x" + "ab" * 32, "0x" + "CD" * 20),
        default_file(84532, "0x" + "ac" * 32, "0x" + "CD" * 20),
        default_file(84532, "0x" + "ab" * 32, "0x" + "CE" * 20),
    }
    assert len({first, *others}) == 4
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert default_file(1, "0x", "0x").parent == Path.home() / ".local" / "state" / "actp"


def test_the_file_is_made_where_nobody_else_can_read_it(office, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    client = outside(office)
    before = os.umask(0o022)
    try:
        with BudgetCoordinator(client, 100 * USDC):
            file = default_file(client.chain_id, client.genesis, client.address)
            found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()}
    finally:
        os.umask(before)
    assert {file.name, f"{file.name}.proof-key"} <= found.keys()
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_file_and_a_folder_that_were_there_keep_their_modes(office, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    client = outside(office)
    file = default_file(client.chain_id, client.genesis, client.address)
    file.parent.mkdir(parents=True)
    file.parent.chmod(0o750)
    file.touch()
    file.chmod(0o640)
    store, owned = store_of(client, None)
    store.close()
    assert owned
    assert [stat.S_IMODE(one.stat().st_mode) for one in (file.parent, file)] == [0o750, 0o640]


def outside(office):
    """A client whose chain does not end with this process."""
    return ACTPClient(replace(office.client.endpoint, chain=None), office.client.signer)


def test_a_chain_that_ends_with_the_process_has_its_ledger_in_memory(office):
    first, second = store_of(office.client, None), store_of(office.client, None)
    assert first == second
    assert (first[0].durable, first[1]) == (False, False)


def test_decisions_and_what_is_sent_are_in_one_database(office, tmp_path):
    own = open_store(tmp_path / "own.db")
    client = ACTPClient(office.client.endpoint, office.client.signer, store=own)
    assert store_of(client, None) == (own, False)
    assert store_of(client, f"sqlite:///{tmp_path}/own.db") == (own, False)
    for other in (f"sqlite:///{tmp_path}/other.db", office.store()):
        with pytest.raises(ConfigError, match="another store"):
            store_of(client, other)
    own.close()


def test_a_store_that_was_opened_here_is_closed_here(office, tmp_path):
    with BudgetCoordinator(office.client, 1, store=f"sqlite:///{tmp_path}/x.db", worker=False) as crew:
        assert crew.total_budget == 1
    crew.close()  # once more is nothing


def test_what_cannot_be_opened_leaves_nothing_open(office, tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(Store, "close", lambda store: closed.append(store.label))
    with pytest.raises(InvalidInput, match="total_budget"):
        BudgetCoordinator(office.client, -1, store=f"sqlite:///{tmp_path}/x.db", worker=False)
    assert closed == [f"sqlite:{tmp_path}/x.db"]


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(office, tmp_path):
    url = f"sqlite:///{tmp_path}/x.db"
    BudgetCoordinator(office.client, 1, store=url, worker=False).close()
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("UPDATE coordinator_version SET version_num = '9999'")
    before = (tmp_path / "x.db").read_bytes()
    with pytest.raises(StoreError, match="version"):
        BudgetCoordinator(office.client, 2, store=url, worker=False)
    assert (tmp_path / "x.db").read_bytes() == before

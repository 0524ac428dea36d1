"""One trace for each purchase, whichever threads and processes have worked on it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from actp.chain import EmbeddedChain, dev_accounts
from actp.chain.server import ChainServer
from actp.deploy import deploy_contracts
from actp.deployments import FOLDER_VARIABLE, AddressBook
from actp.engine import Sender
from actp.engine.store import open_store
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from coordinator import spans
from coordinator.api import BudgetCoordinator
from coordinator.budget.requests import SpendingRequest
from coordinator.metrics.derived import DerivedIds, OpenTelemetry
from coordinator.metrics.tracing import ENDPOINT_VARIABLE, ids_of, traced_to, tracing
from coordinator.policy import PolicySettings
from tests.coordinator.metrics.support import families, scrape
from tests.coordinator.worker.support import USDC, Firm, agent, book

ROOT = Path(__file__).resolve().parents[3]
TRANSACTION = "0x" + "ab" * 32
_ERROR = StatusCode.ERROR
WALK = ["request", "decide", "dispatch", "simulate", "judge", "sign", "submit", "confirm"]


@contextmanager
def recording(provider: TracerProvider | None = None) -> Iterator[InMemorySpanExporter]:
    """Keeps every span that ends within it."""
    exporter = InMemorySpanExporter()
    made = provider or TracerProvider(id_generator=DerivedIds())
    made.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = OpenTelemetry(made)
    spans.trace_to(tracer)
    try:
        yield exporter
    finally:
        spans.untrace(tracer)


def named(found: tuple[ReadableSpan, ...], trace_id: int) -> dict[str, ReadableSpan]:
    mine = [one for one in found if one.context.trace_id == trace_id]
    assert len({one.name for one in mine}) == len(mine)
    return {one.name: one for one in mine}


def attributes(one: ReadableSpan) -> dict[str, object]:
    return {name.removeprefix("actp."): value for name, value in (one.attributes or {}).items()}


class TestAPurchase:
    @pytest.fixture
    def coordinator(self, firm: Firm, tmp_path) -> Iterator[BudgetCoordinator]:
        """A coordinator whose worker is a thread of its own."""
        firm.authority.apply(book(2_000 * USDC, agent("ann"), agent("bob", requires_approval=50 * USDC)), "test")
        with BudgetCoordinator(firm.client, store=firm.store, total_budget=2_000 * USDC) as made:
            made.apply_rules(book(2_000 * USDC, agent("ann"), agent("bob", requires_approval=50 * USDC)))
            yield made

    def ask(self, firm: Firm, **other: object) -> SpendingRequest:
        values = {"agent_id": "ann", "amount": 10 * USDC, "provider": firm.provider.address, "category": "data"}
        return SpendingRequest(purpose="a secret thing", **(values | other))  # type: ignore[arg-type]

    def test_is_one_trace_below_its_request_with_every_stage_in_order(self, firm: Firm, coordinator):
        with recording() as exporter:
            response = coordinator.request_spending(self.ask(firm, idempotency_key="once"))
            assert response.approved
        trace_id, first_id = ids_of(response.tx_id)
        found = named(exporter.get_finished_spans(), trace_id)
        assert sorted(found) == sorted(WALK)
        request = found["request"]
        assert (request.context.span_id, request.parent) == (first_id, None)
        for name in WALK[1:]:
            assert found[name].parent is not None
            assert found[name].parent.span_id == first_id
            assert found[name].parent.trace_id == trace_id
        times = [(found[name].start_time or 0, found[name].end_time or 0) for name in WALK]
        assert all(start <= end for start, end in times)
        starts = [start for start, _ in times]
        assert starts == sorted(starts)
        assert time.time() - 60 < starts[0] / 1e9 < time.time()
        ends = [end for _, end in times[1:]]
        assert ends == sorted(ends)

    @pytest.mark.slow
    def test_says_who_and_how_much_and_which_hash_and_nothing_secret(self, firm: Firm, coordinator):
        with recording() as exporter:
            response = coordinator.request_spending(self.ask(firm))
        found = {name: attributes(one) for name, one in named(
            exporter.get_finished_spans(), ids_of(response.tx_id)[0]
        ).items()}  # fmt: skip
        assert found["request"]["agent"] == found["decide"]["agent"] == found["dispatch"]["agent"] == "ann"
        assert found["request"]["amount"] == found["decide"]["amount"] == 10 * USDC
        assert found["decide"]["outcome"] == "held"
        assert found["judge"]["ruling"] == "allow"
        (operation,) = [one for one in firm.operations() if one.transaction_id == response.tx_id]
        assert found["confirm"]["tx_hash"] == found["sign"]["tx_hash"] == operation.tx_hash
        assert found["simulate"]["kernel"] == firm.client.kernel.address
        assert all(one["transaction_id"] == response.tx_id for one in found.values())
        told = json.dumps(found)
        assert "secret" not in told
        assert firm.account.private_key.removeprefix("0x") not in told

    def test_a_denial_is_a_trace_that_ends_with_the_rule(self, firm: Firm, coordinator):
        with recording() as exporter:
            coordinator.request_spending(self.ask(firm, amount=600 * USDC))
        found = {one.name: attributes(one) for one in exporter.get_finished_spans()}
        assert sorted(found) == ["decide", "request"]
        assert (found["decide"]["outcome"], found["decide"]["rule"]) == ("denied", "spending_limit")

    @pytest.mark.slow
    def test_asking_again_with_the_same_key_makes_no_second_first_span(self, firm: Firm, coordinator):
        with recording() as exporter:
            one = coordinator.request_spending(self.ask(firm, idempotency_key="once"))
            coordinator.request_spending(self.ask(firm, idempotency_key="once"))
        trace_id, first_id = ids_of(one.tx_id)
        requests = [found for found in exporter.get_finished_spans() if found.name == "request"]
        assert {found.context.trace_id for found in requests} == {trace_id}
        first, again = requests
        assert first.context.span_id == first_id
        assert again.context.span_id != first_id
        assert again.parent is not None

    @pytest.mark.slow
    def test_several_that_share_an_operation_have_a_trace_each(self, firm: Firm):
        worker = firm.worker()
        worker.look()
        answers = [firm.request((index + 1) * USDC) for index in range(3)]
        with recording() as exporter:
            firm.funded(worker, *answers)
        found = exporter.get_finished_spans()
        for answer in answers:
            mine = named(found, ids_of(answer.transaction_id)[0])
            assert sorted(mine) == sorted(WALK[2:])
        operations = {attributes(one)["operation"] for one in found if one.name == "confirm"}
        assert len(operations) == 1

    @pytest.mark.slow
    def test_without_a_guard_it_is_the_engine_that_confirms(self, firm: Firm):
        worker = firm.worker(guard=False)
        worker.look()
        answer = firm.request(10 * USDC)
        with recording() as exporter:
            firm.funded(worker, answer)
        mine = named(exporter.get_finished_spans(), ids_of(answer.transaction_id)[0])
        assert sorted(mine) == sorted(WALK[2:])

    @pytest.mark.slow
    def test_what_fails_says_its_code(self, firm: Firm):
        worker = firm.worker(policy=PolicySettings(max_amount={firm.usdc: 5 * USDC}))
        worker.look()
        answer = firm.request(10 * USDC)
        with recording() as exporter:
            firm.rounds(worker, 8)
        mine = named(exporter.get_finished_spans(), ids_of(answer.transaction_id)[0])
        failed = {
            name: one.status.description for name, one in mine.items() if one.status.status_code is StatusCode.ERROR
        }
        assert failed == {"judge": "max_amount"}


class TestIds:
    def test_follow_from_the_transaction_alone(self):
        trace_id, span_id = ids_of(TRANSACTION)
        assert ids_of(TRANSACTION.upper().replace("0X", "0x")) == (trace_id, span_id)
        digest = hashlib.sha256(bytes.fromhex("ab" * 32)).hexdigest()
        assert f"{trace_id:032x}{span_id:016x}" == digest[:48]
        assert ids_of("0x" + "ac" * 32)[0] != trace_id

    def test_a_provider_of_the_program_itself_has_the_same_trace(self):
        """Its ids are random, so the first span is missing; all others are below the place where it would be."""
        with recording(TracerProvider()) as exporter:
            with spans.span("request", TRANSACTION, first=True):
                pass
            spans.record("decide", TRANSACTION, 1.0, 2.0, {})
        trace_id, first_id = ids_of(TRANSACTION)
        for one in exporter.get_finished_spans():
            assert one.context.trace_id == trace_id
            assert one.parent is not None
            assert one.parent.span_id == first_id

    def test_other_spans_of_the_same_provider_keep_random_ids(self):
        provider = TracerProvider(id_generator=DerivedIds())
        with recording(provider) as exporter:
            spans.record("decide", TRANSACTION, 1.0, 2.0, {})
            provider.get_tracer("theirs").start_span("theirs").end()
        ours, theirs = exporter.get_finished_spans()
        assert theirs.context.trace_id != ours.context.trace_id

    def test_the_span_that_a_program_is_in_is_linked_and_is_no_parent(self):
        provider = TracerProvider(id_generator=DerivedIds())
        with recording(provider) as exporter:
            with provider.get_tracer("theirs").start_as_current_span("their work") as theirs:
                spans.record("decide", TRANSACTION, 1.0, 2.0, {})
            spans.record("dispatch", TRANSACTION, 1.0, 2.0, {})
        decide, _, dispatch = exporter.get_finished_spans()
        assert [link.context.span_id for link in decide.links] == [theirs.get_span_context().span_id]
        assert decide.context.trace_id == ids_of(TRANSACTION)[0]
        assert dispatch.links == ()


class TestSwitch:
    def test_an_error_is_the_spans_and_goes_on(self):
        with recording() as exporter, pytest.raises(KeyError), spans.span("request", TRANSACTION, first=True):
            raise KeyError("gone")
        (one,) = exporter.get_finished_spans()
        assert (one.status.status_code, one.status.description) == (_ERROR, "KeyError")

    def test_nobody_listens_unless_somebody_is_wanted(self):
        with tracing("test", environment={}):
            assert not spans.traced()
        with tracing("test", environment={ENDPOINT_VARIABLE: "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"}):
            assert not spans.traced()
        with tracing("test", environment={ENDPOINT_VARIABLE: "http://127.0.0.1:9"}):
            assert spans.traced()
        assert not spans.traced()

    @pytest.mark.slow
    def test_a_collector_that_is_not_there_keeps_nobody_from_ending(self, monkeypatch):
        monkeypatch.setenv(ENDPOINT_VARIABLE, "http://127.0.0.1:9")
        start = time.monotonic()
        with tracing("test"):
            spans.record("decide", TRANSACTION, 1.0, 2.0, {})
            assert time.monotonic() - start < 2
        assert time.monotonic() - start < 8

    def test_spans_that_nobody_wants_are_not_made(self, monkeypatch):
        monkeypatch.setattr(spans, "Span", None)
        spans.record("decide", TRANSACTION, 1.0, 2.0, {"agent": "ann"})

    def test_the_last_spans_are_sent_before_the_provider_closes(self):
        exporter = InMemorySpanExporter()
        provider = TracerProvider(id_generator=DerivedIds())
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with traced_to(provider):
            spans.record("decide", TRANSACTION, 1.0, 2.0, {})
        assert [one.name for one in exporter.get_finished_spans()] == ["decide"]
        assert trace.get_current_span() is trace.INVALID_SPAN


AGENT = """
import sys
from actp.client import ACTPClient
from actp.engine import open_store
from actp.networks import connect
from actp.rpc import HttpTransport
from actp.signers import Watcher
from coordinator.api import BudgetCoordinator
from coordinator.budget.requests import SpendingRequest
from coordinator.metrics.tracing import tracing

url, database, wallet, provider = sys.argv[1:]
store = open_store(database)
client = ACTPClient(connect(HttpTransport(url), 31337), Watcher(wallet), store=store)
with tracing("agent", wanted=True), BudgetCoordinator(client, store=store, worker=False) as coordinator:
    coordinator.request_spending(SpendingRequest("ann", 10_000_000, provider, "a thing", "data", "once"), wait=False)
"""


def printed(text: str) -> list[dict[str, object]]:
    """The JSON objects that the console exporter has printed, whatever stands between them."""
    found, decoder, place = [], json.JSONDecoder(), 0
    while (place := text.find('{\n    "name"', place)) >= 0:
        one, place = decoder.raw_decode(text, place)
        found.append(one)
    return found


@pytest.mark.slow
def test_an_agents_process_and_a_workers_process_have_one_trace_and_the_worker_has_an_endpoint(tmp_path):
    chain = EmbeddedChain()
    with ChainServer(chain) as server:
        environment = {
            **os.environ, FOLDER_VARIABLE: str(tmp_path), "OTEL_TRACES_EXPORTER": "console",
            "TREASURY_PRIVATE_KEY": dev_accounts()[1].private_key,
        }  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(FOLDER_VARIABLE, str(tmp_path))
            address_book = AddressBook(chain.chain_id, genesis_hash(chain, chain.chain_id), development=True)
        sender = Sender(chain, LocalSigner(dev_accounts()[0].private_key), chain_id=chain.chain_id)
        deployed = deploy_contracts(sender, address_book)
        database = f"sqlite:///{tmp_path / 'ledger.db'}"
        store = open_store(database)
        firm = Firm(chain, chain, deployed, dev_accounts()[1], store)
        firm.worker().look()
        asked = subprocess.run(
            [sys.executable, "-c", AGENT, server.url, database, firm.wallet, firm.provider.address],
            capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        (row,) = firm.all()
        worker = subprocess.Popen(
            [sys.executable, "-m", "coordinator.cli", "run", "worker", "--store", database, "--network", "local",
             "--rpc-url", server.url, "--traces", "--metrics-address", "0"],
            stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip
        assert worker.stdout is not None
        introduced = dict(line.split(maxsplit=1) for line in iter(worker.stdout.readline, "Stop with Ctrl-C.\n"))
        until = time.monotonic() + 60
        while time.monotonic() < until and worker.poll() is None:
            found = firm.authority.find(row.id)
            if found is not None and found.state.value in ("on_chain", "committed"):
                break
            threading.Event().wait(0.1)
        shown = families(scrape(introduced["Metrics"].strip()))
        worker.terminate()
        worked, _ = worker.communicate(timeout=30)
        store.close()
    trace_id = f"0x{ids_of(row.transaction_id)[0]:032x}"
    ours = [one for one in printed(asked.stdout + worked) if one["context"]["trace_id"] == trace_id]  # type: ignore[index]
    assert sorted(one["name"] for one in ours) == sorted(WALK)  # type: ignore[type-var]
    first = f"0x{ids_of(row.transaction_id)[1]:016x}"
    assert {one["parent_id"] for one in ours} == {None, first}
    services = {one["resource"]["attributes"]["service.name"] for one in ours}  # type: ignore[index]
    assert services == {"agent", "coordinator-worker"}
    assert shown["actp_tx_confirmed_total", "succeeded"] >= 1
    assert sum(value for key, value in shown.items() if key[0] == "actp_rpc_requests_total") > 10
    assert {key[1] for key in shown if key[0] == "actp_rpc_requests_total"} == {server.url}

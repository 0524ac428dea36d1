import json
import logging
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actp import rpc
from actp.chain import EmbeddedChain
from actp.chain.server import ChainServer
from actp.errors import ConfigError, Reverted, RpcError, RpcUnavailable, WrongChain
from actp.reverts import from_error
from actp.rpc import HttpTransport, provider_for, redact_url

SECRET = "s3cr3tAPIkey0123456789"


class ScriptedNode:
    """An HTTP endpoint that answers every request with what `answer` makes of its JSON body: status and text."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = answer(body)
                if reply is None:
                    self.close_connection = True
                    return
                status, text, *headers = reply
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format, *args):
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v2/{SECRET}?apikey={SECRET}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def result(value):
    return lambda body: (200, json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": value}))


def error(code, message, data=None, status=200):
    return lambda body: (
        status,
        json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": {"code": code, "message": message, "data": data}}),
    )


def relay(body):
    return 200, json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": "0x1"})


def failure(answer, method="eth_chainId", **options):
    with ScriptedNode(answer) as node, pytest.raises((RpcError, RpcUnavailable)) as caught:
        HttpTransport(node.url, **options).request(method, [])
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(vars(caught.value))
    assert SECRET not in text
    return caught.value


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://base-sepolia.example.com/v2/{SECRET}", "https://base-sepolia.example.com"),
        (f"https://host.example:8545/?key={SECRET}#x", "https://host.example:8545"),
        (f"https://{SECRET}:{SECRET}@host.example/path", "https://host.example"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545/x", "http://[::1]:8545"),
        (SECRET, "<unreadable URL>"),
        (f"http://host:{SECRET}/", "<unreadable URL>"),
        (f"https://[{SECRET}/", "<unreadable URL>"),
        ("", "<unreadable URL>"),
    ],
)
def test_only_scheme_host_and_port_of_a_url_are_shown(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize("url", ["ws://host", "ftp://host", f"host/{SECRET}", "", f"https:///{SECRET}"])
def test_a_url_that_is_not_http_is_refused_without_being_shown(url):
    with pytest.raises(ConfigError) as caught:
        HttpTransport(url)
    assert SECRET not in str(caught.value)


def test_a_transport_shows_no_key():
    transport = HttpTransport(f"https://host.example/v2/{SECRET}")
    assert SECRET not in repr(transport) + str(transport) + transport.label


def test_debug_logs_of_the_http_library_show_no_key(caplog):
    with ScriptedNode(result("0x1")) as node, caplog.at_level(logging.DEBUG):
        assert HttpTransport(node.url).request("eth_chainId", []) == "0x1"
    assert "POST /***" in caplog.text
    assert SECRET not in caplog.text


def test_debug_logs_show_no_key_behind_a_proxy(caplog, monkeypatch):
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "")
    with ScriptedNode(relay) as proxy, caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("http_proxy", redact_url(proxy.url))
        transport = HttpTransport(f"http://rpc.example.test/v2/{SECRET}?key={SECRET}")
        assert transport.request("eth_chainId", []) == "0x1"
    assert "rpc.example.test/***" in caplog.text
    assert SECRET not in caplog.text


def test_a_path_that_begins_with_another_endpoints_path_is_hidden_as_a_whole(caplog):
    HttpTransport("http://host.example/v2")
    with ScriptedNode(relay) as node, caplog.at_level(logging.DEBUG):
        HttpTransport(node.url).request("eth_chainId", [])
    assert SECRET not in caplog.text


@pytest.mark.parametrize("host", [".example.com", "*.example.com", "a" * 64 + ".example.com", "x y.example.com"])
def test_a_url_with_a_malformed_host_is_refused_without_being_shown(host):
    with pytest.raises(ConfigError) as caught:
        HttpTransport(f"https://{host}/v2/{SECRET}")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_error_of_the_node_keeps_code_text_and_data():
    found = failure(error(3, "execution reverted", "0x12345678"))
    assert isinstance(found, RpcError)
    assert (found.rpc_code, found.message, found.data) == (3, "execution reverted", "0x12345678")
    assert not found.retryable


def test_a_key_that_the_node_quotes_is_taken_out():
    assert failure(error(-32000, f"project {SECRET} is over its limit")).message == "project *** is over its limit"


def test_a_key_is_taken_out_of_the_data_of_an_error_but_revert_data_stays():
    data = {"endpoint": f"https://x/v2/{SECRET}", "more": [SECRET, 7], "revert": "0x08c379a0"}
    assert failure(error(-32000, "no", data)).data == {
        "endpoint": "https://x/v2/***",
        "more": ["***", 7],
        "revert": "0x08c379a0",
    }
    path = "08c379a0"
    with ScriptedNode(error(3, "execution reverted", f"0x{path}")) as node, pytest.raises(RpcError) as caught:
        HttpTransport(node.url.replace("/v2/", f"/{path}/")).request("eth_call", [])
    assert caught.value.data == f"0x{path}"


def test_a_user_name_is_taken_out_however_it_is_spelled():
    with ScriptedNode(error(-32000, "user us3r@name01 or us3r%40name01 is blocked")) as node:
        url = node.url.replace("http://", "http://us3r%40name01:pw@")
        with pytest.raises(RpcError) as caught:
            HttpTransport(url).request("eth_chainId", [])
    assert caught.value.message == "user *** or *** is blocked"


@pytest.mark.parametrize("code", [-32016, -32005, 429])
def test_rate_limits_are_retryable(code):
    found = failure(error(code, "over rate limit", status=429))
    assert isinstance(found, RpcError)
    assert found.retryable
    assert rpc.is_rate_limit(found)


def test_http_429_without_json_is_retryable_and_was_not_taken():
    found = failure(lambda body: (429, "slow down"), method="eth_sendRawTransaction")
    assert (found.code, found.retryable, found.outcome) == ("rate_limited", True, "not_sent")


@pytest.mark.parametrize(("status", "retryable"), [(500, True), (502, True), (401, False), (404, False), (200, False)])
def test_an_answer_without_json_rpc_is_unavailability(status, retryable):
    found = failure(lambda body: (status, "<html>"), method="eth_sendRawTransaction")
    assert isinstance(found, RpcUnavailable)
    assert (found.retryable, found.outcome) == (retryable, "unknown")


def test_a_gateways_error_about_a_send_is_no_refusal():
    """It may have handed the bytes on before it failed; about a read there is nothing to lose."""
    answer = '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "nonce too low"}}'
    sent = failure(lambda body: (503, answer), method="eth_sendRawTransaction")
    assert isinstance(sent, RpcUnavailable)
    assert sent.outcome == "unknown"
    assert isinstance(failure(lambda body: (503, answer), method="eth_call"), RpcError)
    assert isinstance(failure(lambda body: (400, answer), method="eth_sendRawTransaction"), RpcError)


@pytest.mark.parametrize(
    ("status", "code"),
    [(413, "too_large"), (408, "timeout"), (504, "timeout"), (524, "timeout"), (502, "rpc_unavailable")],
)
def test_an_answer_that_took_too_long_or_is_too_large_is_named(status, code):
    assert failure(lambda body: (status, "<html>")).code == code


def test_json_that_is_not_json_rpc_is_unavailability():
    for text in ("[]", "5", "{}", '"x"', '{"jsonrpc": "2.0", "id": 1}'):
        found = failure(lambda body, text=text: (200, text), method="eth_call")
        assert isinstance(found, RpcUnavailable)
        assert found.outcome == "none"
        assert failure(lambda body, text=text: (200, text), method="eth_sendRawTransaction").outcome == "unknown"


def test_redirects_are_not_followed_because_the_key_would_go_along():
    with ScriptedNode(result("0x1")) as other:
        found = failure(lambda body: (307, "", ("Location", other.url.replace(SECRET, "elsewhere"))))
    assert isinstance(found, RpcUnavailable)


def test_no_connection_means_that_nothing_was_sent():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(RpcUnavailable, match="did not answer: no connection") as caught:
        HttpTransport(f"http://127.0.0.1:{port}/{SECRET}").request("eth_sendRawTransaction", ["0x"])
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_broken_connection_leaves_the_outcome_of_a_send_open():
    assert failure(lambda body: None, method="eth_sendRawTransaction").outcome == "unknown"
    assert failure(lambda body: None, method="eth_call").outcome == "none"


def test_waiting_is_bounded():
    release = threading.Event()

    def hang(body):
        release.wait(5)
        return result("0x1")(body)

    with ScriptedNode(hang) as node:
        try:
            with pytest.raises(RpcUnavailable, match=r"within 0.1 s") as caught:
                HttpTransport(node.url, timeout=0.1).request("eth_sendRawTransaction", ["0x"])
        finally:
            release.set()
    assert (caught.value.outcome, caught.value.code) == ("unknown", "timeout")


def test_many_threads_share_one_transport(chain):
    with ChainServer(chain) as server:
        transport = HttpTransport(server.url)
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(lambda _: rpc.chain_id(transport), range(100))) == {31337}


def test_the_wrong_chain_is_refused(chain):
    rpc.require_chain(chain, 31337)
    with pytest.raises(WrongChain, match="serves chain 31337, not chain 84532"):
        rpc.require_chain(chain, 84532)


@pytest.mark.parametrize("answer", ["mainnet", "", "0x", "84532", 84532, None, [], "-0x1", f"0x1 {SECRET}"])
def test_a_number_that_is_none_is_an_error_of_the_node_and_not_shown(answer):
    with ScriptedNode(result(answer)) as node, pytest.raises(RpcError, match="answered eth_chainId with") as caught:
        rpc.require_chain(HttpTransport(node.url), 84532)
    assert caught.value.hint
    assert SECRET not in str(caught.value)


def test_messages_name_the_setting_that_the_url_came_from():
    transport = HttpTransport(f"http://127.0.0.1:9/{SECRET}", origin="ETH_RPC_URL")
    with pytest.raises(RpcUnavailable, match=r"The node http://127\.0\.0\.1:9 \(from ETH_RPC_URL\) did not") as caught:
        transport.request("eth_chainId", [])
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match="The RPC URL in ETH_RPC_URL is not"):
        HttpTransport(SECRET, origin="ETH_RPC_URL")


def test_development_nodes_are_known_by_their_name(chain):
    assert rpc.is_development_node(chain)
    for name, development in [("anvil/v1.7.1", True), ("HardhatNetwork/2.22/ethereumjs", True), ("Geth/v1.15", False),
                              ("reth/v1/anvil/", False), (None, False)]:  # fmt: skip
        with ScriptedNode(result(name)) as node:
            assert rpc.is_development_node(HttpTransport(node.url)) is development
    with ScriptedNode(error(-32601, "method not found")) as node:
        assert not rpc.is_development_node(HttpTransport(node.url))


class Node:
    """A transport that answers for block 0 as told."""

    label = "node"

    def __init__(self, answer):
        self._answer = answer

    def request(self, method, params):
        assert (method, params) == ("eth_getBlockByNumber", ["0x0", False])
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_the_first_block_tells_chains_of_one_id_apart():
    one, other = EmbeddedChain(), EmbeddedChain()
    assert rpc.genesis_hash(one, 31337) == rpc.genesis_hash(one, 31337)
    assert rpc.genesis_hash(one, 31337) != rpc.genesis_hash(other, 31337)


@pytest.mark.parametrize("answer", [None, RpcError(4444, "pruned history unavailable")])
def test_a_live_chain_is_known_though_its_public_endpoint_dropped_the_first_block(answer):
    assert rpc.genesis_hash(Node(answer), 84532) == rpc.LIVE_GENESIS[84532]
    with pytest.raises((RpcError, RpcUnavailable)):
        rpc.genesis_hash(Node(answer), 31337)


def test_a_first_block_without_a_hash_is_an_error_of_the_node():
    with pytest.raises(RpcError, match="not a block with a hash"):
        rpc.genesis_hash(Node({"number": "0x0"}), 31337)


def test_a_development_chain_with_a_live_id_is_told_apart():
    assert rpc.genesis_hash(Node({"hash": "0x05"}), 84532) == "0x05"


def test_web3_runs_over_any_transport_and_reverts_come_through(chain, accounts):
    from web3 import Web3

    w3 = Web3(provider_for(chain))
    assert w3.eth.chain_id == 31337
    assert w3.is_connected()
    assert w3.eth.get_balance(accounts[0].address) > 0
    # Code that reverts with the four bytes 12345678: PUSH4, shifted to the left of memory, REVERT(0, 4).
    with pytest.raises(RpcError) as caught:
        w3.eth.call({"data": "0x631234567860e01b5f5260045ffd"})
    assert isinstance(from_error(caught.value), Reverted)
    assert from_error(caught.value).name == "0x12345678"


def test_a_provider_knows_whether_its_node_is_there():
    from web3 import Web3

    w3 = Web3(provider_for(HttpTransport("http://127.0.0.1:9", timeout=0.5)))
    assert not w3.is_connected()
    with pytest.raises(RpcUnavailable):
        w3.is_connected(show_traceback=True)

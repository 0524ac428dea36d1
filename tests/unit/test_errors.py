import copy
import pickle
import subprocess
import sys

import pytest

from actp import errors
from actp.errors import (
    ActpError,
    ArtifactMismatch,
    ConfigError,
    FeeTooHigh,
    IdempotencyConflict,
    InsufficientFunds,
    InvalidInput,
    NoCode,
    OutcomeUnknown,
    PartialBatch,
    Reverted,
    RpcError,
    RpcUnavailable,
    SendError,
    SignatureRefused,
    UnacceptedClauses,
    UnknownTransaction,
    UnsupportedByKernel,
    UnsupportedByToken,
    WrongChain,
)

EXAMPLES = [
    ConfigError("No key.", hint="Set one."),
    WrongChain(84532, 1, endpoint="https://host"),
    NoCode("ACTPKernel", "0x" + "11" * 20),
    ArtifactMismatch("Other code."),
    InvalidInput("Bad amount."),
    RpcError(-32000, "nonce too low", {"a": 1}),
    RpcUnavailable("No answer."),
    InsufficientFunds("0x" + "11" * 20, asset="USDC", has=1, needs=5),
    UnsupportedByKernel("No such call."),
    UnknownTransaction("No such id."),
    UnsupportedByToken("No permits."),
    IdempotencyConflict("0x" + "ab" * 32, ["amount", "deadline"]),
    UnacceptedClauses("0x" + "ab" * 32, "0x" + "11" * 20, 9_000),
    SignatureRefused("Signed by somebody else."),
    PartialBatch(["0x01"], ["0x02"], SendError("Refused."), hint="Call again."),
    Reverted("AmountOutOfBounds", {"amount": 10, "minimum": 50_000}, raw="0x12345678", outcome="reverted"),
    SendError("Refused.", retryable=True),
    FeeTooHigh("Too much.", asked=2, cap=1),
    OutcomeUnknown("Not seen.", tx_hashes=["0x01"], nonce=7),
]


def test_every_error_has_an_example_here():
    defined = {getattr(errors, name) for name in errors.__all__} - {errors.Outcome, ActpError}
    assert {type(error) for error in EXAMPLES} == defined


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_and_copying(error):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_codes_are_distinct_so_that_programs_can_tell_errors_apart():
    codes = [error.code for error in EXAMPLES]
    assert len(set(codes)) == len(codes)


def test_the_text_is_what_is_wrong_and_what_to_do():
    assert str(ConfigError("No key.", hint="Set one.")) == "No key. Set one."
    assert str(ConfigError("No key.")) == "No key."


def test_what_is_wrong_and_what_to_do_are_two_sentences():
    refused = Reverted("AmountOutOfBounds", {"amount": 10}, hint="Amounts are base units.")
    assert str(refused) == "AmountOutOfBounds: amount=10. Amounts are base units."
    assert str(Reverted("NothingToWithdraw", hint="Nothing is owed.")) == "NothingToWithdraw. Nothing is owed."
    assert str(RpcError(-32000, "who are you?", hint="Check the key.")) == "who are you? Check the key."
    assert refused.message == "AmountOutOfBounds: amount=10"


def test_a_revert_shows_its_numbers():
    error = Reverted("AmountOutOfBounds", {"amount": 10, "minimum": 50_000, "maximum": 10**15})
    assert str(error) == "AmountOutOfBounds: amount=10, minimum=50000, maximum=1000000000000000"
    assert error.outcome == "not_sent"


def test_missing_funds_are_named_with_account_and_numbers():
    error = InsufficientFunds("0x" + "11" * 20, asset="ETH", has=3, needs=10)
    assert "0x" + "11" * 20 in str(error)
    assert "has 3 wei of ETH and needs 10" in str(error)
    assert "at least 7 wei" in error.hint


def test_an_unknown_outcome_lists_what_to_look_up():
    error = OutcomeUnknown("Not seen.", tx_hashes=["0x01", "0x02"], nonce=7)
    assert (error.tx_hashes, error.nonce, error.outcome, error.retryable) == (("0x01", "0x02"), 7, "unknown", False)
    assert "Do not send it again" in str(error)


def test_refused_arguments_are_value_errors():
    assert issubclass(InvalidInput, ValueError)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, actp, actp.errors, actp.types, actp.units\n"
        "heavy = {'web3', 'eth_account', 'eth_tester', 'eth', 'eth_utils', 'eth_abi', 'requests', 'pydantic', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_exported_name_can_be_loaded():
    import actp

    for name in actp.__all__:
        assert getattr(actp, name).__name__ == name
    with pytest.raises(AttributeError, match="Nothing"):
        _ = actp.Nothing
    assert set(actp.__all__) <= set(dir(actp))

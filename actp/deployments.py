"""The address book: which contracts live on which chain, in `deployments/<chainId>.json`.

Every book names the genesis block of its chain. A book of another run of a development chain is therefore never
believed, though it has the same chain id. Chains that the package knows come with a read-only book; what is deployed
from here goes to a writable folder: `ACTP_DEPLOYMENTS_DIR`, else the checkout's `deployments`, else `./deployments`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actp import artifacts, reverts
from actp.errors import ArtifactMismatch, ConfigError, NoCode, RpcError
from actp.rpc import LIVE_GENESIS, Transport
from actp.units import keccak, require_address, shown, to_checksum

__all__ = [
    "DEFAULT_NAME",
    "G1_NAME",
    "AddressBook",
    "Contract",
    "Deployment",
    "Planned",
    "code_at",
    "code_hash",
    "elsewhere_hint",
    "is_development_id",
    "verify",
    "writable_folder",
]

DEFAULT_NAME = "actp-escrow"
"""The name of our own deployment where no other is given."""
G1_NAME = "agirails-g1"
"""The name of the live AGIRAILS contracts of generation G1."""
G1_CHAIN_ID = 84_532
FOLDER_VARIABLE = "ACTP_DEPLOYMENTS_DIR"

_PACKAGED = Path(__file__).parent / "_data" / "deployments"
_CHECKOUT = Path(__file__).parents[1] / "deployments"
_KEYS = frozenset({"chainId", "genesis", "deployments"})
_DEVELOPMENT_IDS = frozenset({1337, 31337})


@dataclass(frozen=True, slots=True)
class Contract:
    """One deployed contract. What is not known of a contract that others deployed is None."""

    address: str
    tx_hash: str | None = None
    block: int | None = None
    args: tuple[Any, ...] | None = None
    code_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A deployment that was signed and is not known to be mined: where the contract will be if it is.

    `signed` are all eth transactions that were signed for this nonce, as 0x hex, the newest last. At most one of them
    can ever be mined.
    """

    deployer: str
    nonce: int
    address: str
    args: tuple[Any, ...]
    signed: tuple[str, ...]

    @property
    def tx_hashes(self) -> tuple[str, ...]:
        """Hashes of `signed`."""
        return tuple("0x" + keccak(bytes.fromhex(raw[2:])).hex() for raw in self.signed)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A kernel, its vault and its token. `generation` tells which kernel this is, such as "G1" or "actp-escrow/1"."""

    name: str
    generation: str
    token: str | None = None
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    planned: Mapping[str, Planned] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether kernel, vault and token are known."""
        return self.token is not None and {"ACTPKernel", "EscrowVault"} <= set(self.contracts)

    @property
    def kernel(self) -> str:
        """Address of the kernel. Raises ConfigError while it is not deployed."""
        return self.address_of("ACTPKernel")

    @property
    def vault(self) -> str:
        """Address of the vault. Raises ConfigError while it is not deployed."""
        return self.address_of("EscrowVault")

    def address_of(self, contract: str) -> str:
        """Address of a contract by its name. Raises ConfigError if this deployment has none."""
        if contract not in self.contracts:
            raise ConfigError(
                f"The deployment {self.name!r} has no {contract} yet.",
                hint="Run scripts/deploy.py to complete it.",
            )
        return self.contracts[contract].address

    def with_contract(self, name: str, contract: Contract) -> Deployment:
        """This deployment with one more contract, which is then no longer planned."""
        planned = {key: value for key, value in self.planned.items() if key != name}
        return replace(self, contracts={**self.contracts, name: contract}, planned=planned)

    def without(self, name: str) -> Deployment:
        """This deployment without one contract and without a plan for it."""
        contracts = {key: value for key, value in self.contracts.items() if key != name}
        planned = {key: value for key, value in self.planned.items() if key != name}
        return replace(self, contracts=contracts, planned=planned)


class AddressBook:
    """The deployments of one chain, which is known by its id and its genesis hash."""

    def __init__(
        self,
        chain_id: int,
        genesis: str,
        *,
        folder: Path | None = None,
        in_memory: bool = False,
        development: bool = False,
    ) -> None:
        """`folder` is where it is written (see the module), nowhere with `in_memory`. `development` says that the chain
        is one to try things out on though its id does not tell. Raises ConfigError.
        """
        self.development = (development or is_development_id(chain_id)) and genesis != LIVE_GENESIS.get(chain_id)
        """Whether the chain may be set back or started again at any time, which a fork of a live one is not."""
        self.chain_id = chain_id
        self.genesis = genesis
        self.path = None if in_memory else (folder or writable_folder()) / f"{chain_id}.json"
        shipped = None if in_memory else _shipped_folder() / f"{chain_id}.json"
        # In a checkout the shipped book is the writable one.
        self._shipped = {} if shipped is None or shipped == self.path else self._parse(shipped)
        self._own = {} if self.path is None else self._parse(self.path)

    def names(self) -> list[str]:
        """Names of all deployments on this chain."""
        return sorted({*self._shipped, *self._own})

    def find(self, name: str = DEFAULT_NAME) -> Deployment | None:
        """The deployment of this name, None if there is none."""
        # A file in the working directory must not lend the name of a known deployment to other contracts.
        return self._shipped.get(name) or self._own.get(name)

    def get(self, name: str = DEFAULT_NAME) -> Deployment:
        """The complete deployment of this name. Raises ConfigError if there is none."""
        found = self.find(name)
        if found is None or not found.complete:
            known = ", ".join(self.names()) or "none"
            state = "is not complete" if found else "does not exist"
            raise ConfigError(
                f"The deployment {shown(name)} on chain {self.chain_id} {state} (there are: {known}).",
                code="not_deployed",
                hint=elsewhere_hint(name)
                or f"Deploy the contracts with scripts/deploy.py, or name another deployment.{self.searched}",
            )
        return found

    @property
    def searched(self) -> str:
        """Where deployments were looked for, as the last sentence of a hint; empty for a book in memory."""
        return "" if self.path is None else f" {self.path} was searched; {FOLDER_VARIABLE} names another folder."

    def put(self, deployment: Deployment) -> None:
        """Adds or replaces a deployment and writes the book: after it returns, the file has the change and is whole.

        Several threads and processes may do so. Raises ConfigError for the name of a shipped deployment, and if the
        file belongs to something else.
        """
        if deployment.name in self._shipped:
            raise ConfigError(
                f"The deployment {deployment.name!r} on chain {self.chain_id} comes with this package.",
                hint="Choose another name (--name).",
            )
        if self.path is None:
            self._own[deployment.name] = deployment
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path.parent):
            self.require_writable()
            self._own = {**self._parse(self.path), deployment.name: deployment}
            content = {
                "chainId": self.chain_id,
                "genesis": self.genesis,
                **({"development": True} if self.development else {}),
                "deployments": {name: _to_json(self._own[name]) for name in sorted(self._own)},
            }
            _write_atomically(self.path, json.dumps(content, indent=2) + "\n")

    def require_writable(self) -> None:
        """Raises ConfigError if the file that would be written is no address book, or one of another chain of this id
        (unless it is of a development chain, whose earlier runs are gone).
        """
        if self.path is None or not self.path.is_file():
            return
        content = _read(self.path)
        if any(key not in content for key in _KEYS):
            raise ConfigError(
                f"{self.path} is not an address book of this package.",
                hint=f"Move it, or set {FOLDER_VARIABLE} to another folder.",
            )
        recorded = content["genesis"]
        replaceable = is_development_id(self.chain_id) or content.get("development") is True
        if recorded != self.genesis and not replaceable:
            raise ConfigError(
                f"{self.path} describes another chain {self.chain_id} (genesis {recorded}, not {self.genesis}).",
                hint=f"Set {FOLDER_VARIABLE} to another folder for this chain.",
            )

    def _parse(self, file: Path) -> dict[str, Deployment]:
        content = _read(file) if file.is_file() else {}
        if content.get("genesis") != self.genesis:
            return {}
        try:
            if content["chainId"] != self.chain_id:
                raise ConfigError(f"The address book {file} is of chain {content['chainId']}.", hint="Rename the file.")
            return {name: _from_json(name, entry) for name, entry in content["deployments"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"The address book {file} is damaged: {error!r}.", hint="Repair or remove it.") from error


def elsewhere_hint(name: str) -> str:
    """What to do where a deployment is missing that only its owners have deployed; empty for all others."""
    if name != G1_NAME:
        return ""
    return (
        f"{G1_NAME!r} names the contracts that AGIRAILS runs on Base Sepolia (chain {G1_CHAIN_ID}), which are on no "
        f"other chain: use Network.BASE_SEPOLIA for them, or leave out deployment= for {DEFAULT_NAME!r}."
    )


def is_development_id(chain_id: int) -> bool:
    """Whether the chain id is one of those that development chains on every machine use, and no live chain."""
    return chain_id in _DEVELOPMENT_IDS


def writable_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where address books are written: ACTP_DEPLOYMENTS_DIR, else the checkout's folder, else ./deployments."""
    named = (os.environ if environ is None else environ).get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    return _CHECKOUT if _CHECKOUT.is_dir() else Path("deployments")


def code_at(transport: Transport, address: str, name: str) -> bytes:
    """The code of a contract. Raises NoCode if there is none."""
    code = bytes.fromhex(transport.request("eth_getCode", [address, "latest"])[2:])
    if not code:
        raise NoCode(name, address)
    return code


def code_hash(code: bytes) -> str:
    """How the address book identifies code: keccak-256 of the runtime code, immutables included."""
    return "0x" + keccak(code).hex()


def verify(transport: Transport, deployment: Deployment) -> dict[str, str]:
    """Checks that every contract of a deployment is on the chain as recorded, is of the version packaged here (with the
    extension that the kernel made for itself), and that kernel, vault and token belong together. Returns the hash of
    each contract's code, as `code_hash` gives it.

    Raises NoCode or ArtifactMismatch. Of contracts that others deployed the version is not checked.
    """
    hashes = {}
    for name, contract in deployment.contracts.items():
        code = code_at(transport, contract.address, name)
        hashes[name] = code_hash(code)
        if contract.code_hash is None:
            continue
        if hashes[name] != contract.code_hash:
            raise ArtifactMismatch(
                f"The code of {name} at {contract.address} is not the code that was deployed there.",
                hint="The address book belongs to another chain, or was edited.",
            )
        require_artifact(name, contract.address, code)
    _require_wiring(transport, deployment)
    _require_extension(transport, deployment)
    return hashes


def _require_extension(transport: Transport, deployment: Deployment) -> None:
    """A kernel that runs some of its functions from a second code account must have that, of the same version."""
    kernel = deployment.contracts.get("ACTPKernel")
    extension = None if kernel is None else _address_in(transport, "ACTPKernel", kernel.address, "extension")
    if kernel is None or extension is None:
        return  # kernels of other generations are one account
    code = code_at(transport, extension, "the kernel's extension")
    if kernel.code_hash is not None:
        require_artifact("KernelExtension", extension, code)


def _require_wiring(transport: Transport, deployment: Deployment) -> None:
    """Kernel, vault and token must know each other, as far as their generation tells."""
    kernel, vault = (deployment.contracts.get(name) for name in ("ACTPKernel", "EscrowVault"))
    expected = (
        ("ACTPKernel", kernel, "USDC", deployment.token),
        ("EscrowVault", vault, "token", deployment.token),
        ("EscrowVault", vault, "kernel", None if kernel is None else kernel.address),
    )
    for name, contract, view, wanted in expected:
        if contract is None or wanted is None:
            continue
        actual = _address_in(transport, name, contract.address, view)
        if actual is not None and actual != wanted:
            raise ArtifactMismatch(
                f"{view}() of {name} at {contract.address} is {actual}, and the address book says {wanted}.",
                hint="The address book mixes contracts of several deployments, or was edited.",
            )


def _address_in(transport: Transport, name: str, address: str, view: str) -> str | None:
    """What a view without arguments returns, None if the contract has no such view."""
    artifact = artifacts.load(name)
    call = {"to": address, "data": "0x" + artifact.call_data(view).hex()}
    try:
        answer = transport.request("eth_call", [call, "latest"])
    except RpcError as error:
        if reverts.from_error(error) is None:
            raise
        return None
    data = bytes.fromhex(answer[2:])
    return to_checksum("0x" + data[12:].hex()) if len(data) == 32 else None


def require_artifact(name: str, address: str, code: bytes) -> None:
    """Raises ArtifactMismatch unless `code` is the packaged contract of this name, whatever its immutables."""
    if not artifacts.load(name).matches(code):
        raise ArtifactMismatch(
            f"{name} at {address} was deployed from another version of the contract than the one packaged here.",
            hint="Use the package version that deployed it, or deploy this version under another name (--name).",
        )


def _shipped_folder() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"The address book {file} cannot be read: {error}.", hint="Repair or remove it.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"The address book {file} is not a JSON object.", hint="Repair or remove it.")
    return content


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other writers out, in this process and others, and puts on disk what was renamed in the folder."""
    import fcntl  # not on every platform, and readers do not need it

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_atomically(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; an address book is for everybody.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _to_json(deployment: Deployment) -> dict[str, Any]:
    planned = {
        name: {
            "deployer": plan.deployer,
            "nonce": plan.nonce,
            "address": plan.address,
            "args": plan.args,
            "signed": plan.signed,
        }
        for name, plan in deployment.planned.items()
    }
    return {
        "generation": deployment.generation,
        "token": deployment.token,
        "contracts": {
            name: {
                "address": contract.address,
                "txHash": contract.tx_hash,
                "block": contract.block,
                "args": contract.args,
                "codeHash": contract.code_hash,
            }
            for name, contract in deployment.contracts.items()
        },
        **({"planned": planned} if planned else {}),
    }


def _from_json(name: str, entry: dict[str, Any]) -> Deployment:
    contracts = {
        key: Contract(
            address=require_address(item["address"], key),
            tx_hash=item["txHash"],
            block=item["block"],
            args=_arguments(item["args"]),
            code_hash=item["codeHash"],
        )
        for key, item in entry["contracts"].items()
    }
    planned = {
        key: Planned(
            deployer=require_address(item["deployer"], "deployer"),
            nonce=int(item["nonce"]),
            address=require_address(item["address"], key),
            args=_arguments(item["args"]) or (),
            signed=tuple(str(raw) for raw in item["signed"]),
        )
        for key, item in entry.get("planned", {}).items()
    }
    token = None if entry["token"] is None else require_address(entry["token"], "token")
    return Deployment(name, entry["generation"], token, contracts, planned)


def _arguments(values: list[Any] | None) -> tuple[Any, ...] | None:
    """Constructor arguments from JSON, in which a struct became a list."""
    if values is None:
        return None
    return tuple(_arguments(value) if isinstance(value, list) else value for value in values)

"""The token that escrows are paid in, and allowances for exactly what a payment needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actp.binding import Binding, Session, TxResult
from actp.errors import ActpError, InsufficientFunds, Reverted
from actp.token_signing import Permit, TokenSigning
from actp.units import require_address, require_base_units

__all__ = ["MissingAllowance", "Token"]

_LAG_SECONDS = 10.0
_POLL_SECONDS = 0.25


class MissingAllowance(InsufficientFunds):
    """`account` has approved `has` base units for `spender`, and the call needs `needs`. Nothing was sent."""

    default_code = "missing_allowance"

    def __init__(self, account: str, spender: str, *, has: int, needs: int) -> None:
        super().__init__(
            account,
            asset="USDC allowance",
            has=has,
            needs=needs,
            message=f"{account} allows the vault {spender} to take {has} base units of USDC, and {needs} are needed.",
            hint="fund_transaction and kernel.dispute approve exactly what is missing; or call token.approve.",
        )
        self.spender = spender


def _is_allowance_error(error: Reverted) -> bool:
    # The names are those of current tokens and of our vault; older tokens only have words for it.
    return error.name in ("ERC20InsufficientAllowance", "BondNotPayable") or "allowance" in error.message.lower()


def _is_balance_error(error: Reverted) -> bool:
    return error.name == "ERC20InsufficientBalance" or "exceeds balance" in error.message.lower()


def _send_when_approved(send: Callable[[], TxResult]) -> TxResult:
    # Behind one URL there may be several nodes, and not all have the block of the approval yet.
    until = time.monotonic() + _LAG_SECONDS
    while True:
        try:
            return send()
        except (MissingAllowance, Reverted) as error:
            missing = isinstance(error, MissingAllowance) or _is_allowance_error(error)
            if not missing or error.outcome != "not_sent" or time.monotonic() > until:
                raise
        time.sleep(_POLL_SECONDS)


class Token:
    """An ERC-20 token with 6 decimals. Amounts are base units."""

    def __init__(self, session: Session, address: str) -> None:
        self.address = address
        self._session = session
        self._binding = Binding(session, "TestUSDC", address)
        self.signing = TokenSigning(session, address)

    def __repr__(self) -> str:
        return f"Token({self.address})"

    @property
    def symbol(self) -> str:
        return str(self._binding.read("symbol"))

    def balance_of(self, account: str | None = None) -> int:
        """Base units that an account holds; this client's account by default."""
        return int(self._binding.read("balanceOf", self._account(account)))

    def allowance(self, spender: str, owner: str | None = None) -> int:
        """Base units that `spender` may still take from `owner`, this client's account by default."""
        return int(self._binding.read("allowance", self._account(owner), require_address(spender, "spender")))

    def approve(self, spender: str, amount: int) -> TxResult:
        """Lets `spender` take `amount` in all from now on, instead of what it was allowed before."""
        return self._binding.send("approve", require_address(spender, "spender"), require_base_units(amount))

    def transfer(self, to: str, amount: int) -> TxResult:
        """Sends tokens of this client's account."""
        return self._binding.send("transfer", require_address(to, "to"), require_base_units(amount))

    def mint(self, amount: int, to: str | None = None) -> TxResult:
        """Makes tokens out of nothing, where the token allows it: on test networks."""
        return self._binding.send("mint", self._account(to), require_base_units(amount))

    @contextmanager
    def explaining(self, spender: str, amount: Callable[[], int]) -> Iterator[None]:
        """Around a call in which `spender` is to take `amount` of this account: if that is why it was refused, the
        error becomes MissingAllowance or InsufficientFunds.
        """
        try:
            yield
        except Reverted as error:
            reason = self._reason(error, spender, amount) if error.outcome == "not_sent" else None
            if reason is None:
                raise
            raise reason from error

    def spend(
        self,
        spender: str,
        amount: int,
        attempt: Callable[[], None],
        send: Callable[[], TxResult],
        *,
        allow: int | None = None,
    ) -> TxResult:
        """Makes sure that `spender` can take `amount`, then calls `send`, which sends the call that does so.

        Any number of threads may do this for one account: an allowance that stands is shared out among them, one that
        has to be made is made for one call at a time, for exactly what that call needs. `attempt` simulates the call
        where the allowance is missing: if it passes without one, none is made, and if it is refused for another reason
        that error is raised before anything is sent. The result names the approval as `prior`, if there was one; if the
        call fails after an approval, the error's hint says that it stands. With `allow` the approval is for that much,
        at least for `amount`: a standing allowance for later calls.
        """
        approved = amount if allow is None else max(amount, allow)
        key = (self._session.genesis, self.address, self._session.address, spender)
        with _allowances_of(key).share(lambda: self.allowance(spender), amount) as covered:
            if covered or not self._approval_helps(attempt):
                return send()
            if self.balance_of() < amount:
                raise self._lacks(amount)
            approval = self.approve(spender, approved)
            try:
                return _send_when_approved(send).after((approval,))
            except ActpError as error:
                stands = (
                    f"The approval before it is mined ({approval.tx_hash}): until the call is mined too, {spender} may "
                    f"take {approved} base units. token.approve(spender, 0) ends that."
                )
                error.hint = f"{error.hint} {stands}".lstrip()
                raise

    def spend_by_permit(
        self, spender: str, amount: int, send: Callable[[], TxResult], send_with: Callable[[Permit], TxResult]
    ) -> TxResult:
        """As `spend`, but an allowance that is missing is signed for exactly `amount` and sent along, by `send_with`.

        Raises UnsupportedByToken, InsufficientFunds.
        """
        key = (self._session.genesis, self.address, self._session.address, spender)
        with _allowances_of(key).share(lambda: self.allowance(spender), amount) as covered:
            if covered:
                return send()
            if self.balance_of() < amount:
                raise self._lacks(amount)
            # Signed anew in each attempt: a node that lags behind answers with a nonce that is used.
            return _send_when_approved(lambda: send_with(self.signing.permit(spender, amount)))

    def _reason(self, error: Reverted, spender: str, amount: Callable[[], int]) -> ActpError | None:
        if not (_is_allowance_error(error) or _is_balance_error(error)):
            return None
        needs, allowed = amount(), self.allowance(spender)
        if allowed < needs:
            return MissingAllowance(self._session.address, spender, has=allowed, needs=needs)
        return self._lacks(needs) if self.balance_of() < needs else None

    def _approval_helps(self, attempt: Callable[[], None]) -> bool:
        try:
            attempt()
        except Reverted as error:
            if not _is_allowance_error(error):
                raise
            return True
        return False

    def _lacks(self, amount: int) -> InsufficientFunds:
        return InsufficientFunds(self._session.address, asset="USDC", has=self.balance_of(), needs=amount)

    def _account(self, account: str | None) -> str:
        return self._session.address if account is None else require_address(account, "account")


class _Allowances:
    """Which part of a standing allowance the calls in flight will use up. One for each owner, token and spender."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._promised = 0

    @contextmanager
    def share(self, standing: Callable[[], int], amount: int) -> Iterator[bool]:
        """Yields True if the standing allowance covers `amount` besides what is promised already. Else waits until
        nothing is promised, and yields False with nobody else here: the allowance may be replaced.
        """
        with self._changed:
            covered = standing() >= self._promised + amount
            if not covered and self._promised:
                self._changed.wait_for(lambda: not self._promised)
                covered = standing() >= amount
            if not covered:
                yield False
                return
            self._promised += amount
        try:
            yield True
        finally:
            with self._changed:
                self._promised -= amount
                self._changed.notify_all()


_desks: dict[tuple[str, str, str, str], _Allowances] = {}
_desks_lock = threading.Lock()


def _allowances_of(key: tuple[str, str, str, str]) -> _Allowances:
    # Per process and not per client: an allowance belongs to the account, and several clients may have its key.
    with _desks_lock:
        return _desks.setdefault(key, _Allowances())

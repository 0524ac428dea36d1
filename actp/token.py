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


def _lacks_allowance(error: MissingAllowance | Reverted) -> bool:
    """Whether nothing was sent because an allowance is missing."""
    return error.outcome == "not_sent" and (isinstance(error, MissingAllowance) or _is_allowance_error(error))


def _send_when_approved(send: Callable[[], TxResult]) -> TxResult:
    # Behind one URL there may be several nodes, and not all have the block of the approval yet.
    until = time.monotonic() + _LAG_SECONDS
    while True:
        try:
            return send()
        except (MissingAllowance, Reverted) as error:
            if not _lacks_allowance(error) or time.monotonic() > until:
                raise
        time.sleep(_POLL_SECONDS)


class Token:
    """An ERC-20 token with 6 decimals. Amounts are base units."""

    def __init__(self, session: Session, address: str) -> None:
        self.address = address
        self._session = session
        self._binding = Binding(session, "TestUSDC", address)
        self.signing = TokenSigning(session, address)
        self._ample: set[str] = set()

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
        amount: Callable[[], int],
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

        `amount` is asked when it is needed. Where something was left of the allowance the last time, and nobody else of
        this process is about to use it, neither is read: that the simulation of the call passes is proof enough.
        """
        needs = _Once(amount)
        desk = self._desk(spender)
        if spender in self._ample:
            with desk.alone(needs) as alone:
                if alone:
                    try:
                        return send()
                    except (MissingAllowance, Reverted) as error:
                        if not _lacks_allowance(error):
                            raise
        with desk.share(lambda: self.allowance(spender), needs) as left:
            self._note_left(spender, left)
            if left >= 0 or not self._approval_helps(attempt):
                return send()
            if self.balance_of() < needs():
                raise self._lacks(needs())
            approved = max(needs(), allow or 0)
            approval = self.approve(spender, approved)
            self._note_left(spender, approved - needs())
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
        with self._desk(spender).share(lambda: self.allowance(spender), lambda: amount) as left:
            if left >= 0:
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

    def _note_left(self, spender: str, units: int) -> None:
        """So many base units of the allowance will be left after the calls in flight."""
        if units > 0:
            self._ample.add(spender)
        else:
            self._ample.discard(spender)

    def _desk(self, spender: str) -> _Allowances:
        return _allowances_of((self._session.genesis, self.address, self._session.address, spender))

    def _account(self, account: str | None) -> str:
        return self._session.address if account is None else require_address(account, "account")


class _Once:
    """A number that is asked for when it is first needed."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self._ask = ask
        self._answer: int | None = None

    def __call__(self) -> int:
        if self._answer is None:
            self._answer = self._ask()
        return self._answer


class _Allowances:
    """Which part of a standing allowance the calls in flight will use up. One for each owner, token and spender."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._promised: list[Callable[[], int]] = []

    @contextmanager
    def alone(self, amount: Callable[[], int]) -> Iterator[bool]:
        """Yields True, with `amount` promised, if nothing else is promised; else False."""
        with self._changed:
            alone = not self._promised
            if alone:
                self._promised.append(amount)
        try:
            yield alone
        finally:
            if alone:
                self._release(amount)

    @contextmanager
    def share(self, standing: Callable[[], int], amount: Callable[[], int]) -> Iterator[int]:
        """Yields what is left of the standing allowance besides `amount` and what is promised already. If it does not
        cover them, waits until nothing is promised, and where it still does not, yields what it lacks, as a number
        below zero, with nobody else here: the allowance may be replaced.
        """
        with self._changed:
            needs = amount()
            left = standing() - needs - sum(promised() for promised in self._promised)
            if left < 0 and self._promised:
                self._changed.wait_for(lambda: not self._promised)
                left = standing() - needs
            if left < 0:
                yield left
                return
            self._promised.append(amount)
        try:
            yield left
        finally:
            self._release(amount)

    def _release(self, amount: Callable[[], int]) -> None:
        with self._changed:
            self._promised.remove(amount)
            self._changed.notify_all()


_desks: dict[tuple[str, str, str, str], _Allowances] = {}
_desks_lock = threading.Lock()


def _allowances_of(key: tuple[str, str, str, str]) -> _Allowances:
    # Per process and not per client: an allowance belongs to the account, and several clients may have its key.
    with _desks_lock:
        return _desks.setdefault(key, _Allowances())

"""A US dollar coin in integers: balances, allowances to one vault, signed transfers, a block-list and a pause."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from tests.model.refusal import refuse_if

Account = str
"""Accounts are names here; the world knows their addresses."""

ZERO = "zero"
TOKEN = "token"
VAULT = "vault"


@dataclass
class TokenModel:
    """What the escrow can notice of the token. `issuer` keeps the block-list and the pause."""

    issuer: Account
    balances: dict[Account, int] = field(default_factory=dict)
    allowances: dict[Account, int] = field(default_factory=dict)
    nonces: dict[Account, int] = field(default_factory=dict)
    """Of permits."""
    used: set[tuple[Account, Hashable]] = field(default_factory=set)
    """Nonces of authorizations that moved tokens or were canceled."""
    blocked: set[Account] = field(default_factory=lambda: {TOKEN})
    paused: bool = False
    supply: int = 0
    unsolicited: int = 0
    """What others sent to the vault on their own."""

    def balance(self, account: Account) -> int:
        return self.balances.get(account, 0)

    def allowance(self, owner: Account) -> int:
        """What the vault may still pull from `owner`."""
        return self.allowances.get(owner, 0)

    def nonce(self, owner: Account) -> int:
        """What the next permit of `owner` has to carry."""
        return self.nonces.get(owner, 0)

    # ---------------------------------------------------------------- calls from outside

    def mint(self, caller: Account, to: Account, amount: int) -> None:
        refuse_if(
            TokenPaused=self.paused,
            AccountBlacklisted=bool({caller, to} & self.blocked),
            ZeroMintAmount=amount == 0,
            ERC20InvalidReceiver=to == ZERO,
        )
        self.supply += amount
        self._add(to, amount)
        self._note_gift(to, amount)

    def approve(self, caller: Account, amount: int) -> None:
        refuse_if(TokenPaused=self.paused)
        self.allowances[caller] = amount

    def permit(self, now: int, owner: Account, amount: int, deadline: int, signer: Account, nonce: int) -> None:
        """Whoever sends it: `signer` signed it over `nonce`."""
        refuse_if(
            TokenPaused=self.paused,
            PermitExpired=now > deadline,
            InvalidSignature=signer != owner or nonce != self.nonce(owner),
        )
        self.nonces[owner] = nonce + 1
        self.allowances[owner] = amount

    def cancel_authorization(self, owner: Account, nonce: Hashable) -> None:
        """Whoever sends it: `owner` signed it."""
        refuse_if(TokenPaused=self.paused, AuthorizationUsedOrCanceled=(owner, nonce) in self.used)
        self.used.add((owner, nonce))

    def transfer(self, caller: Account, to: Account, amount: int) -> None:
        refuse_if(
            TokenPaused=self.paused,
            AccountBlacklisted=bool({caller, to} & self.blocked),
            ERC20InsufficientBalance=self.balance(caller) < amount,
            ERC20InvalidReceiver=to == ZERO,
        )
        self._move(caller, to, amount)
        self._note_gift(to, amount)

    def blacklist(self, caller: Account, account: Account, blocked: bool) -> None:
        refuse_if(NotBlacklister=caller != self.issuer)
        (self.blocked.add if blocked else self.blocked.discard)(account)

    def pause(self, caller: Account, paused: bool) -> None:
        refuse_if(NotPauser=caller != self.issuer)
        self.paused = paused

    # ---------------------------------------------------------------- what the vault does with it

    def freezes(self, account: Account) -> bool:
        """Whether nothing can move between the vault and `account`, not even nothing."""
        return self.paused or bool({account, VAULT} & self.blocked)

    def pull(self, payer: Account, amount: int) -> None:
        """The vault takes `amount` out of the payer's allowance."""
        refuse_if(
            TokenPaused=self.paused,
            AccountBlacklisted=bool({payer, VAULT} & self.blocked),
            ERC20InsufficientAllowance=self.allowance(payer) < amount,
            ERC20InsufficientBalance=self.balance(payer) < amount,
        )
        self.allowances[payer] = self.allowance(payer) - amount
        self._move(payer, VAULT, amount)

    def pull_authorized(
        self,
        now: int,
        payer: Account,
        amount: int,
        valid_after: int,
        valid_before: int,
        nonce: Hashable,
        signer: Account | None,
    ) -> None:
        """The vault takes `amount` by what `signer` signed for it, without an allowance."""
        refuse_if(
            TokenPaused=self.paused,
            AccountBlacklisted=bool({payer, VAULT} & self.blocked),
            AuthorizationNotYetValid=now <= valid_after,
            AuthorizationExpired=now >= valid_before,
            AuthorizationUsedOrCanceled=(payer, nonce) in self.used,
            InvalidSignature=signer != payer,
            ERC20InsufficientBalance=self.balance(payer) < amount,
        )
        self.used.add((payer, nonce))
        self._move(payer, VAULT, amount)

    def push(self, payee: Account, amount: int) -> bool:
        """The vault pays `payee`; False if the token refuses, or if the vault would pay itself."""
        if payee == VAULT or self.freezes(payee):
            return False
        self._move(VAULT, payee, amount)
        return True

    def _note_gift(self, to: Account, amount: int) -> None:
        if to == VAULT:
            self.unsolicited += amount

    def _move(self, source: Account, to: Account, amount: int) -> None:
        self._add(source, -amount)
        self._add(to, amount)

    def _add(self, account: Account, amount: int) -> None:
        self.balances[account] = self.balance(account) + amount
        assert self.balances[account] >= 0, f"the model lets {account} spend more than it has"

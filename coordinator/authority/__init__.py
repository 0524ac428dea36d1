"""The budget authority: who may spend how much, decided once, held until the chain says otherwise. Start in README.md.

authority = Authority(open_ledger(store), Account(chain_id, wallet), token=usdc)
authority.apply(RuleBook(total_budget=..., agents={...}), by="operator")
answer = authority.request(ask)
"""

from __future__ import annotations

from coordinator.authority.authority import Authority, AuthoritySettings
from coordinator.authority.deciding import KeyTaken
from coordinator.authority.ending import Change, move_all

__all__ = ["Authority", "AuthoritySettings", "Change", "KeyTaken", "move_all"]

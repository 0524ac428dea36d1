"""Ending what is due, for oneself, for others or for everybody. Start in README.md.

bot = SettlementBot(lifecycle, [Served(client, Index(ledger, client))], SettlementSettings(whom=EVERYONE))
bot.run(stop)  # or step(), or wait()
"""

from __future__ import annotations

from coordinator.settlement.bot import SettlementBot
from coordinator.settlement.choosing import Group
from coordinator.settlement.looking import Looking, Planned
from coordinator.settlement.passing import Pass
from coordinator.settlement.served import Served
from coordinator.settlement.settings import DEFAULT_BATCH, EVERYONE, GasLimits, SettlementSettings, Whom

__all__ = [
    "DEFAULT_BATCH",
    "EVERYONE",
    "GasLimits",
    "Group",
    "Looking",
    "Pass",
    "Planned",
    "Served",
    "SettlementBot",
    "SettlementSettings",
    "Whom",
]

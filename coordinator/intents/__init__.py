"""What may be asked for, and what it becomes: `parse` an intent, `build` its call and exactly what that must do."""

from coordinator.intents import queries
from coordinator.intents.building import BUILDERS, build, build_all, effects_then
from coordinator.intents.built import Built
from coordinator.intents.escrows import EscrowState
from coordinator.intents.models import MODELS, Intent, Spending
from coordinator.intents.parsing import body, intent_type, parse
from coordinator.intents.settling import ItemOutcome, settled_items
from coordinator.intents.world import World

__all__ = [
    "BUILDERS",
    "MODELS",
    "Built",
    "EscrowState",
    "Intent",
    "ItemOutcome",
    "Spending",
    "World",
    "body",
    "build",
    "build_all",
    "effects_then",
    "intent_type",
    "parse",
    "queries",
    "settled_items",
]

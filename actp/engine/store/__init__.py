"""What the engine remembers: intents, attempts, leases. SQLAlchemy Core over SQLite or PostgreSQL.

store = open_store("sqlite:///outbox.db")     # made, or brought up to date, if need be
store = memory_store(chain_id, genesis)       # shared by the senders of this process, and gone with it
"""

from __future__ import annotations

from actp.engine.store.database import Store, memory_store, open_store
from actp.engine.store.errors import OtherChain, StoreBusy, StoreError, StoreFull

__all__ = ["OtherChain", "Store", "StoreBusy", "StoreError", "StoreFull", "memory_store", "open_store"]

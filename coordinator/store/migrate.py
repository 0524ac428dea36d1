"""Bringing the coordinator's tables of an earlier version up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from actp.engine.store import Store
from actp.engine.store.errors import newer
from coordinator.store.schema import HEAD, VERSION_TABLE

__all__ = ["upgrade"]


def upgrade(store: Store, revision: str = "head") -> None:
    """Runs the migrations that the database lacks, up to a revision.

    Raises StoreError if the database is newer than this program.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with store.write() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
            raise newer(f"The ledger in {store.label}", found, HEAD) from error

"""Bringing a store of an earlier version up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Engine

from actp.engine.store.errors import newer, translated
from actp.engine.store.schema import HEAD

__all__ = ["upgrade"]


def upgrade(engine: Engine) -> None:
    """Runs the migrations that the database lacks. Raises StoreError if it is newer than this program."""
    config = _config()
    with translated(engine.url.get_backend_name()), engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            raise newer("The store", found, HEAD) from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config

"""Bringing a store of an earlier version up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Engine

from actp.engine.store.errors import StoreError, translated

__all__ = ["upgrade"]


def upgrade(engine: Engine) -> None:
    """Runs the migrations that the database lacks. Raises StoreError if it is newer than this program."""
    config = _config()
    with translated(engine.url.get_backend_name()), engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"The store is of a version that this program does not know: {error}.", hint="Use a newer program."
            ) from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config

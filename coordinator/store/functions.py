"""The functions that decide within PostgreSQL: `co_decide.sql` and `co_track.sql`, their only texts."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

__all__ = ["create_functions"]


def create_functions(connection: Connection) -> None:
    """Makes the database's own functions, or replaces them by those of this version. SQLite has none."""
    if connection.dialect.name == "postgresql":
        for name in ("co_decide.sql", "co_track.sql"):
            connection.exec_driver_sql(Path(__file__).with_name(name).read_text(encoding="utf-8"))

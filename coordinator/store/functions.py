"""The function that decides one request within PostgreSQL: `co_decide.sql`, its only text."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

__all__ = ["create_functions"]


def create_functions(connection: Connection) -> None:
    """Makes the database's own functions, or replaces them by those of this version. SQLite has none."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(Path(__file__).with_name("co_decide.sql").read_text(encoding="utf-8"))

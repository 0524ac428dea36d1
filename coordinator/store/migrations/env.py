"""What Alembic runs around the migrations: they get the connection of `migrate.upgrade`."""

from alembic import context

from coordinator.store.schema import VERSION_TABLE
from coordinator.store.tracker_schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()

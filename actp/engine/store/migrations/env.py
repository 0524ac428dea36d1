"""What Alembic runs around the migrations: they get the connection of `migrate.upgrade`."""

from alembic import context

from actp.engine.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: the engine comes from `core.database.migration_config`."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Enum, create_engine, text
from sqlalchemy.pool import NullPool

from core.tables import metadata

# Two processes that start together must not migrate at once.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('meetbot migrations', 0))")


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Write columns in plain SQLAlchemy, so that migrations do not change with our enumerations."""
    if kind == "type" and isinstance(item, Enum):
        return f"sa.String(length={item.length})"
    if kind == "type" and type(item).__name__ == "AutoString":
        return "sa.String()"
    return False


engine = create_engine(
    context.config.attributes["url"],
    poolclass=NullPool,
    # Nothing waits for a lock for ever, neither for ours nor for a table's.
    connect_args={"connect_timeout": 5, "options": "-c lock_timeout=60000"},
)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        connection.execute(LOCK)
        context.run_migrations()
engine.dispose()

"""Version 4: which models are held, and what for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import apsw

# role: as in `records.Role`. keeps: with a coming one, that the one in use is kept then
FOURTH = """
ALTER TABLE models ADD COLUMN role TEXT NOT NULL DEFAULT 'left'
    CHECK (role IN ('used', 'coming', 'kept', 'left', 'going'));
ALTER TABLE models ADD COLUMN keeps INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX models_used ON models(role) WHERE role IN ('used', 'coming');
"""
# The one with most vectors answered, whatever the settings wanted by then.
USED = """
UPDATE models SET role = 'used' WHERE id = (
    SELECT model FROM embedding_sums GROUP BY model ORDER BY count(*) DESC, model DESC LIMIT 1)
"""


def migrate(connection: apsw.Connection) -> None:
    connection.execute(FOURTH + USED).fetchall()

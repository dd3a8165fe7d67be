"""The point of no return switched off: a lease that ends gives its slot back, whatever was written."""

from __future__ import annotations

from typing import Any

import psycopg

from ops.chaos.variants import refuse_production

_REAP = """
CREATE OR REPLACE FUNCTION reap(p_limit int, p_max_spins int DEFAULT 5)
RETURNS TABLE (sid bigint, sat timestamptz, state text, reason text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now();
BEGIN
  UPDATE attempts a SET outcome = 'unknown', reason = 'lease_expired', ended_at = t FROM slots s
   WHERE s.state = 'leased' AND s.lease_until < t AND a.schedule_id = s.schedule_id AND a.slot_at = s.slot_at
     AND a.outcome IS NULL;
  UPDATE parts p SET state = 'pending' FROM slots s
   WHERE s.state = 'leased' AND s.lease_until < t AND p.schedule_id = s.schedule_id AND p.slot_at = s.slot_at
     AND p.state IN ('sending', 'unknown');
  RETURN QUERY UPDATE slots s SET state = 'queued', owner = NULL, lease_until = NULL, fence = s.fence + 1,
      republish_at = t, wait_reason = 'lease_expired'
    WHERE s.state = 'leased' AND s.lease_until < t
    RETURNING s.schedule_id, s.slot_at, s.state, s.wait_reason;
END $$
"""


def install(db: psycopg.Connection[Any]) -> None:
    """Put it into this database, for good: only into one that is thrown away."""
    refuse_production()
    db.execute(_REAP.encode())

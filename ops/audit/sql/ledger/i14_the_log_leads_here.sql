-- I14: a slot's moves lead to the state it is in: it entered that state once more often than it left it, and every other
-- state as often as it left it. Birth states are not counted; weeks whose log may be gone are not judged.
WITH moves AS (
  SELECT schedule_id, slot_at, state, sum(d) AS balance
    FROM (SELECT schedule_id, slot_at, new AS state, 1 AS d FROM slot_log WHERE slot_at >= %(since)s
          UNION ALL SELECT schedule_id, slot_at, old, -1 FROM slot_log WHERE slot_at >= %(since)s) x
   GROUP BY 1, 2, 3)
SELECT s.schedule_id AS sid, s.slot_at AS sat,
       CASE WHEN m.state = s.state OR m.state IS NULL THEN 'it is ' || s.state || ', but its log does not lead there'
            ELSE 'it is ' || s.state || ', but its log leads to ' || m.state END AS detail
  FROM slots s LEFT JOIN moves m ON m.schedule_id = s.schedule_id AND m.slot_at = s.slot_at AND m.state NOT IN ('planned', 'expired', 'cancelled', 'deleted')
   AND m.balance <> CASE WHEN m.state = s.state THEN 1 ELSE 0 END
  LEFT JOIN moves h ON h.schedule_id = s.schedule_id AND h.slot_at = s.slot_at AND h.state = s.state
 WHERE s.slot_at >= greatest(%(since)s, %(logged_from)s)
   AND (m.state IS NOT NULL OR (h.state IS NULL AND s.state NOT IN ('planned', 'expired', 'cancelled')))

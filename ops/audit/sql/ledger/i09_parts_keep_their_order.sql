-- I9: a part leaves only after the one before was accepted, and its gap later.
WITH sent AS (
  SELECT schedule_id, slot_at, ord, min(sending_at) FILTER (WHERE outcome IS NULL OR outcome IN ('accepted', 'unknown')) AS first_at,
         min(sending_at) FILTER (WHERE outcome = 'accepted') AS accepted_at
    FROM attempts WHERE slot_at >= %(since)s GROUP BY 1, 2, 3)
SELECT k.schedule_id AS sid, k.slot_at AS sat,
       'part ' || k.ord || ' left at ' || pg_temp.clock_text(k.first_at)
         || CASE WHEN b.accepted_at IS NULL THEN ' although part ' || k.ord - 1 || ' was not accepted'
                 ELSE ', ' || pg_temp.ms(k.first_at - b.accepted_at) || ' ms after part ' || k.ord - 1 || '; the gap is ' || p.gap_ms || ' ms' END AS detail
  FROM sent k JOIN parts p ON p.schedule_id = k.schedule_id AND p.slot_at = k.slot_at AND p.ord = k.ord
  LEFT JOIN sent b ON b.schedule_id = k.schedule_id AND b.slot_at = k.slot_at AND b.ord = k.ord - 1
 WHERE k.ord > 0 AND k.first_at IS NOT NULL
   AND (b.accepted_at IS NULL OR k.first_at < b.accepted_at + make_interval(secs => p.gap_ms / 1000.0))

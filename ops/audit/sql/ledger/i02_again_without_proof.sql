-- I2: what may have arrived is not sent again unless the provider knows our key or can be asked (R8).
SELECT x.schedule_id AS sid, x.slot_at AS sat,
       'part ' || x.ord || ' was sent again at ' || pg_temp.clock_text(x.again_at) || ' although attempt ' || x.attempt_id
         || ' may have arrived and nobody can be asked' AS detail
  FROM (SELECT a.*, lead(a.sending_at) OVER w AS again_at, lead(a.dup_risk) OVER w AS flagged
          FROM attempts a WHERE a.slot_at >= %(since)s
        WINDOW w AS (PARTITION BY a.schedule_id, a.slot_at, a.ord ORDER BY a.sending_at, a.fence)) x
  JOIN slots s USING (schedule_id, slot_at)
 WHERE x.again_at IS NOT NULL AND NOT x.flagged AND s.provider_kind = 'none' AND x.outcome = 'unknown'

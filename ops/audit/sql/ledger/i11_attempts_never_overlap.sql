-- I11: attempts of one part never overlap: the next begins after evidence, and, where the first may have arrived and no
-- key protects, not before settle. (An untainted part was proven not delivered by the provider itself.)
SELECT x.schedule_id AS sid, x.slot_at AS sat,
       'attempt ' || x.next_id || ' of part ' || x.ord || ' began at ' || pg_temp.clock_text(x.next_at) || ' while attempt ' || x.attempt_id
         || CASE WHEN x.ended_at IS NULL THEN ' had no evidence' WHEN x.next_at < x.ended_at THEN ' ran until ' || pg_temp.clock_text(x.ended_at)
                 ELSE ' of ' || pg_temp.clock_text(x.sending_at) || ' could still arrive' END AS detail
  FROM (SELECT a.*, lead(a.sending_at) OVER w AS next_at, lead(a.attempt_id) OVER w AS next_id FROM attempts a
         WHERE a.slot_at >= %(since)s WINDOW w AS (PARTITION BY a.schedule_id, a.slot_at, a.ord ORDER BY a.sending_at, a.fence)) x
  JOIN slots s USING (schedule_id, slot_at) JOIN parts p USING (schedule_id, slot_at, ord)
 WHERE x.next_at IS NOT NULL
   AND (x.ended_at IS NULL OR x.next_at < x.ended_at
        OR (x.outcome = 'unknown' AND p.tainted AND s.provider_kind = 'lookup' AND x.next_at < x.sending_at + make_interval(secs => %(settle_s)s)))

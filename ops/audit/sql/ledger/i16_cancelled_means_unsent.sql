-- I16: a cancelled slot has no attempt that may have arrived.
SELECT s.schedule_id AS sid, s.slot_at AS sat,
       'cancelled (' || coalesce(s.reason, '-') || '), but attempt ' || a.attempt_id || ' is ' || coalesce(a.outcome, 'without evidence') AS detail
  FROM slots s JOIN attempts a USING (schedule_id, slot_at)
 WHERE s.slot_at >= %(since)s AND s.state = 'cancelled' AND (a.outcome IS NULL OR a.outcome IN ('accepted', 'unknown'))

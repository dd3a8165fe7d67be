-- I3, the other way: a slot that no version of its schedule promised. Cancelled ones may outlive an edit.
SELECT s.schedule_id AS sid, s.slot_at AS sat,
       'a slot in state ' || s.state || ' at ' || pg_temp.clock_text(s.slot_at) || ' that no version of its schedule promised' AS detail
  FROM slots s
 WHERE s.slot_at >= %(oracle_from)s AND s.slot_at <= %(tick)s::timestamptz AND s.kind = 'message' AND s.origin = 'plan' AND s.state <> 'cancelled'
   AND NOT EXISTS (SELECT 1 FROM audit_promised p WHERE p.schedule_id = s.schedule_id AND p.slot_at = s.slot_at)

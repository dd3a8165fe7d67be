-- I3: every promised instant has a slot; a recorded range of instants not laid down counts as rows.
SELECT p.schedule_id AS sid, p.slot_at AS sat,
       'no slot: version ' || p.version || ' of the schedule promised ' || pg_temp.clock_text(p.slot_at) AS detail
  FROM audit_promised p
 WHERE p.due AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.schedule_id = p.schedule_id AND s.slot_at = p.slot_at)
   AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.kind = 'slots_not_laid_down' AND i.schedule_id = p.schedule_id
                      AND p.slot_at BETWEEN i.range_from AND i.range_to)

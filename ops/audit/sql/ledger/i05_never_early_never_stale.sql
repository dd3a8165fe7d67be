-- I5: nothing leaves before the slot's time nor after finish_by, and nothing is taken up after its grace.
SELECT a.schedule_id AS sid, a.slot_at AS sat,
       'attempt ' || a.attempt_id || ' passed the point of no return at ' || pg_temp.clock_text(a.sending_at)
         || CASE WHEN a.sending_at < a.slot_at THEN ', before the slot''s time' ELSE ', after finish_by ' || pg_temp.clock_text(s.finish_by) END AS detail
  FROM attempts a JOIN slots s USING (schedule_id, slot_at)
 WHERE a.slot_at >= %(since)s AND (a.sending_at < a.slot_at OR a.sending_at > s.finish_by)
UNION ALL
SELECT schedule_id, slot_at,
       CASE WHEN started_at < slot_at THEN 'its first byte left at ' || pg_temp.clock_text(started_at) || ', before its time'
            ELSE 'it was taken up at ' || pg_temp.clock_text(admitted_at) || ', after start_by ' || pg_temp.clock_text(start_by) END
  FROM slots WHERE slot_at >= %(since)s AND (started_at < slot_at OR admitted_at > start_by)

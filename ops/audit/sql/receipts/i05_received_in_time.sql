-- I5: nothing is received before the slot's time nor after finish_by + HTTP deadline.
SELECT m.schedule_id AS sid, m.slot_at AS sat,
       'receipt ' || m.n || ' is of ' || pg_temp.clock_text(m.at)
         || CASE WHEN m.at < m.slot_at THEN ', before the slot''s time' ELSE ', after finish_by ' || pg_temp.clock_text(s.finish_by) || ' and the HTTP deadline' END AS detail
  FROM audit_matched m JOIN slots s USING (schedule_id, slot_at)
 WHERE m.at < m.slot_at - make_interval(secs => %(tolerance_s)s)
    OR m.at > s.finish_by + make_interval(secs => %(deadline_s)s + %(tolerance_s)s)

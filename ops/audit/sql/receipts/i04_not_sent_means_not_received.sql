-- I4: nothing was received of parts that a finished slot says were not sent.
SELECT m.schedule_id AS sid, m.slot_at AS sat,
       s.state || ' (' || coalesce(s.reason, '-') || '), part ' || m.ord || ' is ' || p.state || ', but the provider received it at '
         || pg_temp.clock_text(m.at) || ' (receipt ' || m.n || ')' AS detail
  FROM audit_matched m JOIN slots s USING (schedule_id, slot_at) JOIN parts p USING (schedule_id, slot_at, ord)
 WHERE s.state IN ('expired', 'skipped', 'cancelled', 'failed', 'partial') AND p.state NOT IN ('accepted', 'delivered')
   AND s.reason IS DISTINCT FROM 'person_not_arrived'

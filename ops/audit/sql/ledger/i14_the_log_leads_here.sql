-- I14: a slot's moves lead to the state it is in. With a weight for each state, the sum of new - old over the log, in any
-- order, is the weight of the state that it leads to. Birth states weigh nothing; weeks whose log may be gone are not judged.
SELECT s.schedule_id AS sid, s.slot_at AS sat,
       'it is ' || s.state || ', but its log leads to '
         || coalesce((SELECT l.new || ' at ' || pg_temp.clock_text(l.at) FROM slot_log l WHERE l.schedule_id = s.schedule_id AND l.slot_at = s.slot_at
                       ORDER BY l.at DESC, l.fence DESC, l.new = s.state LIMIT 1), 'no other state than its first') AS detail
  FROM slots s
  LEFT JOIN (SELECT schedule_id, slot_at, sum(pg_temp.weight(new) - pg_temp.weight(old)) AS leads_to
               FROM slot_log WHERE slot_at >= %(since)s GROUP BY 1, 2) m USING (schedule_id, slot_at)
 WHERE s.slot_at >= greatest(%(since)s, %(logged_from)s) AND coalesce(m.leads_to, 0) <> pg_temp.weight(s.state)

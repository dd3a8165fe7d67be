-- I14: the log holds only moves of the edge table; what ended stays ended, but for what was unresolved.
SELECT l.schedule_id AS sid, l.slot_at AS sat, 'it moved from ' || l.old || ' to ' || l.new || ' at ' || pg_temp.clock_text(l.at) || ', by ' || l.who AS detail
  FROM slot_log l LEFT JOIN slot_edge e ON e.old = l.old AND e.new = l.new
 WHERE l.slot_at >= %(since)s AND e.old IS NULL AND NOT (l.new = 'deleted' AND l.old IN ('planned', 'waiting', 'queued', 'leased'))

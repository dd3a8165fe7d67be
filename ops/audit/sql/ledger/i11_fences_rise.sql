-- I11: fences of a slot rise: from attempt to attempt strictly, in the log never back, and the slot holds the highest.
SELECT x.schedule_id AS sid, x.slot_at AS sat, 'attempt ' || x.attempt_id || ' has fence ' || x.fence || ' after one with fence ' || x.before AS detail
  FROM (SELECT a.*, lag(a.fence) OVER (PARTITION BY a.schedule_id, a.slot_at ORDER BY a.sending_at, a.fence) AS before
          FROM attempts a WHERE a.slot_at >= %(since)s) x
 WHERE x.fence <= x.before
UNION ALL
SELECT y.schedule_id, y.slot_at, 'its fence went back from ' || y.before || ' to ' || y.fence || ' at ' || pg_temp.clock_text(y.at)
  FROM (SELECT l.*, max(l.fence) OVER (PARTITION BY l.schedule_id, l.slot_at ORDER BY l.at
                 RANGE BETWEEN UNBOUNDED PRECEDING AND '1 microsecond' PRECEDING) AS before
          FROM slot_log l WHERE l.slot_at >= %(since)s) y
 WHERE y.fence < y.before
UNION ALL
SELECT s.schedule_id, s.slot_at, 'it stands at fence ' || s.fence || ', below fence ' || a.fence || ' of one of its attempts'
  FROM slots s JOIN (SELECT schedule_id, slot_at, max(fence) AS fence FROM attempts WHERE slot_at >= %(since)s GROUP BY 1, 2) a USING (schedule_id, slot_at)
 WHERE s.fence <= a.fence

-- I1: one slot per schedule and instant.
SELECT schedule_id AS sid, slot_at AS sat, count(*) || ' slots stand for one instant of one schedule' AS detail
  FROM slots WHERE slot_at >= %(since)s
 GROUP BY schedule_id, slot_at HAVING count(*) > 1

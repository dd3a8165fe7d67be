-- I17: the units a room has used on a day are the slots that hold one; who may have been received holds one, nobody else.
SELECT coalesce(x.sid, 0) AS sid, coalesce(x.sat, q.day::timestamptz) AS sat,
       'room ' || r.room_id || ' has used ' || coalesce(q.used, 0) || ' units on ' || coalesce(q.day, x.quota_day) || ', but '
         || coalesce(x.n, 0) || ' slots hold one' AS detail
  FROM (SELECT * FROM room_quota WHERE day >= korean_day(%(oracle_from)s)) q
  FULL JOIN (SELECT room_ref, quota_day, count(*) AS n, (array_agg(schedule_id ORDER BY slot_at DESC))[1] AS sid, max(slot_at) AS sat
               FROM slots WHERE quota_day >= korean_day(%(oracle_from)s) GROUP BY 1, 2) x ON x.room_ref = q.room_ref AND x.quota_day = q.day
  JOIN rooms r ON r.id = coalesce(q.room_ref, x.room_ref)
 WHERE coalesce(q.used, 0) <> coalesce(x.n, 0)
UNION ALL
SELECT schedule_id, slot_at, CASE WHEN exposed > 0 THEN 'it may have been received, but holds no unit of its room''s quota'
                                  ELSE 'nothing of it was received, but it holds a unit of ' || quota_day END
  FROM slots WHERE slot_at >= %(since)s AND kind = 'message' AND room_ref IS NOT NULL AND (exposed > 0) <> (quota_day IS NOT NULL)

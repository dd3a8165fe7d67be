-- I8: no room has more slots on a Korean day than its quota (the quota that is set now).
SELECT x.sid, x.sat, 'the latest of ' || x.n || ' slots to room ' || r.room_id || ' on ' || x.quota_day || '; its quota is ' || r.quota AS detail
  FROM (SELECT room_ref, quota_day, count(*) AS n, (array_agg(schedule_id ORDER BY slot_at DESC))[1] AS sid, max(slot_at) AS sat
          FROM slots WHERE quota_day IS NOT NULL AND quota_day >= korean_day(%(since)s) GROUP BY 1, 2) x
  JOIN rooms r ON r.id = x.room_ref
 WHERE x.n > r.quota

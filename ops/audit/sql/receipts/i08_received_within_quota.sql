-- I8: no room received more slots of one Korean day than its quota.
SELECT x.sid, x.sat, 'the latest of ' || x.n || ' slots that room ' || x.room || ' received on ' || x.day || '; its quota is ' || x.quota AS detail
  FROM (SELECT m.channel, m.room, m.day, count(DISTINCT (m.schedule_id, m.slot_at)) AS n, max(m.quota) AS quota,
               (array_agg(m.schedule_id ORDER BY m.at DESC))[1] AS sid, (array_agg(m.slot_at ORDER BY m.at DESC))[1] AS sat
          FROM audit_matched m GROUP BY 1, 2, 3) x
 WHERE x.n > x.quota

-- I2: a key names one part; only a resend may carry the key of the part it repeats.
SELECT (array_agg(p.schedule_id ORDER BY p.slot_at DESC))[1] AS sid, max(p.slot_at) AS sat,
       'key ' || left(p.idem_key, 16) || ' is carried by ' || count(*) || ' parts: '
         || left(string_agg(slot_public_id(p.schedule_id, p.slot_at) || ' part ' || p.ord, ', '), 300) AS detail
  FROM parts p JOIN slots s USING (schedule_id, slot_at)
 WHERE p.slot_at >= %(since)s
 GROUP BY p.idem_key HAVING count(*) > 1 AND count(*) FILTER (WHERE s.resend_of IS NULL) > 1

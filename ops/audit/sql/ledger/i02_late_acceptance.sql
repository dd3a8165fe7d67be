-- I2: an attempt that was given up as "did not arrive" and was then accepted is a double, unless the key made it one.
SELECT i.schedule_id AS sid, i.slot_at AS sat,
       'attempt ' || coalesce(i.detail ->> 'attempt', '?') || ' of part ' || coalesce(i.detail ->> 'ord', '?')
         || ' was accepted after another attempt had taken its place' AS detail
  FROM incidents i JOIN slots s USING (schedule_id, slot_at)
 WHERE i.kind = 'dup_suspect' AND i.slot_at >= %(since)s AND s.provider_kind IS DISTINCT FROM 'key'
   AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.schedule_id = i.schedule_id AND a.slot_at = i.slot_at AND a.dup_risk)

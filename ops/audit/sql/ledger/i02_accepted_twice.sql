-- I2: a provider that can neither be asked nor recognises a key accepts a part at most once.
SELECT a.schedule_id AS sid, a.slot_at AS sat,
       'part ' || a.ord || ' was accepted ' || count(*) || ' times, by attempts '
         || string_agg(a.attempt_id::text, ', ' ORDER BY a.sending_at) AS detail
  FROM attempts a JOIN slots s USING (schedule_id, slot_at)
 WHERE a.slot_at >= %(since)s AND a.outcome = 'accepted' AND s.provider_kind = 'none'
 GROUP BY a.schedule_id, a.slot_at, a.ord HAVING count(*) > 1 AND NOT bool_or(a.dup_risk)

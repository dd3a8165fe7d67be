-- I7: sends of different slots in one room are at least the room's gap apart (the gap that is set now).
SELECT x.schedule_id AS sid, x.slot_at AS sat,
       'sent to room ' || r.room_id || ' at ' || pg_temp.clock_text(x.sending_at) || ', only ' || pg_temp.ms(x.sending_at - x.before_at)
         || ' ms after slot ' || slot_public_id(x.before_schedule, x.before_slot) || '; the room''s gap is ' || r.gap_ms || ' ms' AS detail
  FROM (SELECT a.schedule_id, a.slot_at, a.sending_at, s.room_ref, lag(a.sending_at) OVER w AS before_at,
               lag(a.schedule_id) OVER w AS before_schedule, lag(a.slot_at) OVER w AS before_slot
          FROM attempts a JOIN slots s USING (schedule_id, slot_at)
         WHERE a.slot_at >= %(since)s AND s.room_ref IS NOT NULL AND (a.outcome IS NULL OR a.outcome IN ('accepted', 'unknown'))
        WINDOW w AS (PARTITION BY s.room_ref ORDER BY a.sending_at, a.fence)) x
  JOIN rooms r ON r.id = x.room_ref
 WHERE (x.before_schedule, x.before_slot) IS DISTINCT FROM (x.schedule_id, x.slot_at)
   AND x.sending_at < x.before_at + make_interval(secs => r.gap_ms / 1000.0)

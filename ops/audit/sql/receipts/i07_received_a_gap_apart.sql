-- I7: receipts of different slots in one room are at least the room's gap apart.
SELECT x.schedule_id AS sid, x.slot_at AS sat,
       'room ' || x.room || ' received it ' || pg_temp.ms(x.at - x.before_at) || ' ms after slot '
         || slot_public_id(x.before_schedule, x.before_slot) || ' (receipts ' || x.before_n || ', ' || x.n || '); its gap is ' || x.gap_ms || ' ms' AS detail
  FROM (SELECT m.*, lag(m.at) OVER w AS before_at, lag(m.schedule_id) OVER w AS before_schedule, lag(m.slot_at) OVER w AS before_slot, lag(m.n) OVER w AS before_n
          FROM audit_matched m WINDOW w AS (PARTITION BY m.channel, m.room ORDER BY m.at, m.n)) x
 WHERE (x.before_schedule, x.before_slot) IS DISTINCT FROM (x.schedule_id, x.slot_at)
   AND x.at < x.before_at + make_interval(secs => x.gap_ms / 1000.0 - %(tolerance_s)s)

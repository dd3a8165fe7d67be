-- I9: the parts of a slot are received in order, their gap apart. A part that the provider had accepted, and of which it said
-- afterwards that it was not delivered, comes after its successors: what was promised still goes out.
SELECT x.schedule_id AS sid, x.slot_at AS sat,
       'part ' || x.ord || ' was received ' || pg_temp.ms(x.at - x.before_at) || ' ms after part ' || x.before_ord || '; the gap is ' || x.gap_ms || ' ms' AS detail
  FROM (SELECT f.*, lag(f.at) OVER w AS before_at, lag(f.ord) OVER w AS before_ord
          FROM (SELECT schedule_id, slot_at, ord, min(part_gap_ms) AS gap_ms, min(at) AS at FROM audit_matched m
                 WHERE NOT EXISTS (SELECT 1 FROM attempts b WHERE b.schedule_id = m.schedule_id AND b.slot_at = m.slot_at AND b.ord = m.ord
                                      AND b.outcome = 'accepted' AND b.sending_at < m.sending_at)
                 GROUP BY 1, 2, 3) f
        WINDOW w AS (PARTITION BY f.schedule_id, f.slot_at ORDER BY f.ord)) x
 WHERE x.at < x.before_at + make_interval(secs => x.gap_ms / 1000.0 - %(tolerance_s)s)
    OR (x.gap_ms = 0 AND x.at < x.before_at)

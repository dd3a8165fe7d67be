-- I3: at the last completed tick no slot lives past finish_by + HTTP deadline + 2 x settle + 10 s; while held all of them wait.
SELECT schedule_id AS sid, slot_at AS sat,
       'still ' || state || ' (' || phase || ') at ' || pg_temp.clock_text(%(tick)s::timestamptz) || ', finish_by was '
         || pg_temp.clock_text(finish_by) AS detail
  FROM slots
 WHERE NOT ledger_held() AND ended_at IS NULL AND slot_at >= %(since)s
   AND finish_by + make_interval(secs => %(deadline_s)s + 2 * %(settle_s)s + 10) < %(tick)s::timestamptz

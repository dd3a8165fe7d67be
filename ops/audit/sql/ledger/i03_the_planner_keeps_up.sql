-- I3: beats that have ticked for a minute have walked every cursor to within a minute of the last tick.
WITH steady AS (
  SELECT greatest((SELECT min(started_at) FROM beat_pulse WHERE last_tick_at > %(tick)s::timestamptz - interval '5 s'),
                  (SELECT max(range_to) FROM incidents WHERE kind = 'scheduler_down')) AS since)
SELECT c.schedule_id AS sid, date_trunc('milliseconds', c.due_at) AS sat,
       'not planned past ' || pg_temp.clock_text(c.due_at) || ', although beats ticked until ' || pg_temp.clock_text(%(tick)s::timestamptz) AS detail
  FROM schedule_clock c, steady
 WHERE NOT ledger_held() AND c.due_at < %(tick)s::timestamptz - interval '60 s' AND steady.since < %(tick)s::timestamptz - interval '60 s'

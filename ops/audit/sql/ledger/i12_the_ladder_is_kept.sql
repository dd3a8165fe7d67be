-- I12: tries that reached the write are few, and far enough apart. Judged from start to start, the least that holds for every
-- kind; a provider with keys may be asked again after a second once, one that is asked first may answer at settle.
WITH tries AS (
  SELECT a.schedule_id, a.slot_at, a.ord, a.attempt_id, a.sending_at, a.outcome, s.provider_kind,
         row_number() OVER w AS n, lead(a.sending_at) OVER w AS next_at
    FROM attempts a JOIN slots s USING (schedule_id, slot_at)
   WHERE a.slot_at >= %(since)s AND a.outcome IS DISTINCT FROM 'not_sent'
  WINDOW w AS (PARTITION BY a.schedule_id, a.slot_at, a.ord ORDER BY a.sending_at, a.fence)),
least AS (
  SELECT t.*, CASE WHEN t.provider_kind = 'key' THEN CASE WHEN t.n = 1 THEN %(quick_s)s ELSE d.delays[least(t.n - 1, d.steps)] END
                   WHEN t.n = 1 AND t.outcome = 'unknown' THEN least(%(settle_s)s, d.delays[1])
                   ELSE d.delays[least(t.n, d.steps)] END AS wait_s
    FROM tries t, (SELECT %(delays)s::float8[] AS delays, cardinality(%(delays)s::float8[]) AS steps) d)
SELECT schedule_id AS sid, slot_at AS sat, 'part ' || ord || ' was tried ' || count(*) || ' times; at most ' || %(max_tries)s || ' may reach the provider' AS detail
  FROM tries GROUP BY schedule_id, slot_at, ord HAVING count(*) > %(max_tries)s
UNION ALL
SELECT schedule_id, slot_at, 'part ' || ord || ' was tried again ' || pg_temp.ms(next_at - sending_at) || ' ms after try ' || n
         || ' (attempt ' || attempt_id || '); at least ' || round(wait_s * 1000) || ' ms must pass'
  FROM least WHERE next_at < sending_at + make_interval(secs => wait_s - %(tolerance_s)s)

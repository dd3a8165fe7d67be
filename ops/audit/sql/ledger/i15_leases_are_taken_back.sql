-- I15: at the last completed tick no lease had been over for more than 5 s.
SELECT schedule_id AS sid, slot_at AS sat,
       'leased until ' || pg_temp.clock_text(lease_until) || ' and not taken back by the tick of ' || pg_temp.clock_text(%(tick)s::timestamptz) AS detail
  FROM slots WHERE NOT ledger_held() AND state = 'leased' AND slot_at >= %(since)s AND lease_until < %(tick)s::timestamptz - interval '5 s'

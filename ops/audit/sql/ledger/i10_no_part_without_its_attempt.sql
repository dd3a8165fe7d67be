-- I10, the ledger's side: what a part says was sent is an attempt of the ledger, and an attempt has its part.
SELECT p.schedule_id AS sid, p.slot_at AS sat,
       'part ' || p.ord || ' is ' || p.state || ' by attempt ' || p.attempt_id || ', which the ledger does not hold' AS detail
  FROM parts p LEFT JOIN attempts a ON a.slot_at = p.slot_at AND a.attempt_id = p.attempt_id
 WHERE p.slot_at >= %(since)s AND p.attempt_id IS NOT NULL AND a.attempt_id IS NULL
UNION ALL
SELECT a.schedule_id, a.slot_at, 'attempt ' || a.attempt_id || ' is of part ' || a.ord || ', which the ledger does not hold'
  FROM attempts a LEFT JOIN parts p USING (schedule_id, slot_at, ord)
 WHERE a.slot_at >= %(since)s AND p.ord IS NULL

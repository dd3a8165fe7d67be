-- I10: every receipt in a room of ours carries an attempt of the ledger that had passed its point of no return by then.
-- A room that the ledger does not know is somebody else's business (a conformance check, another system on the same bot).
SELECT coalesce(m.schedule_id, 0) AS sid, coalesce(m.slot_at, r.at) AS sat,
       'receipt ' || r.n || ' (' || r.channel || ', room ' || r.room || ', ' || pg_temp.clock_text(r.at) || ') carries attempt '
         || coalesce(r.attempt_text, 'none')
         || CASE WHEN m.n IS NULL THEN ', which the ledger does not hold' ELSE ', which passed its point of no return only at ' || pg_temp.clock_text(m.sending_at) END AS detail
  FROM audit_receipts r LEFT JOIN audit_matched m ON m.n = r.n
 WHERE EXISTS (SELECT 1 FROM rooms o WHERE o.room_id = r.room) AND (m.n IS NULL OR m.sending_at > r.at + make_interval(secs => %(tolerance_s)s))

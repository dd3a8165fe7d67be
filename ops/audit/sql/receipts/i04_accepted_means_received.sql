-- I4: every accepted part has its receipt. Parts accepted after the receipts were read are not judged, nor what a person said.
SELECT p.schedule_id AS sid, p.slot_at AS sat, 'part ' || p.ord || ' is ' || p.state || ' by attempt ' || p.attempt_id || ', but the provider has no receipt of it' AS detail
  FROM parts p JOIN slots s USING (schedule_id, slot_at)
 WHERE p.slot_at >= %(since)s AND p.state IN ('accepted', 'delivered') AND p.done_at < %(read_at)s
   AND s.reason IS DISTINCT FROM 'person_arrived'
   AND (s.channel LIKE 'emulator-%%' OR s.channel IN (SELECT DISTINCT ledger_channel FROM audit_matched))
   AND NOT EXISTS (SELECT 1 FROM audit_matched m WHERE m.idem_key = p.idem_key)

-- I4, as far as the ledger knows: a slot's end agrees with its parts. What a person said stands as said. Accepted by a provider that
-- could be asked whether it was delivered, and was not reached in time, is `unresolved`, reason `lookup_unavailable`.
SELECT s.schedule_id AS sid, s.slot_at AS sat,
       s.state || ' (' || coalesce(s.reason, '-') || '), but of ' || p.n || ' parts ' || p.arrived || ' are accepted and '
         || p.doubtful || ' may have arrived' AS detail
  FROM slots s
  LEFT JOIN (SELECT schedule_id, slot_at, count(*) AS n, count(*) FILTER (WHERE state IN ('accepted', 'delivered')) AS arrived,
                    count(*) FILTER (WHERE refused IS NOT NULL) AS refused, count(*) FILTER (WHERE state IN ('unknown', 'sending') OR (tainted AND state = 'pending')) AS doubtful
               FROM parts WHERE slot_at >= %(since)s GROUP BY 1, 2) q USING (schedule_id, slot_at)
  CROSS JOIN LATERAL (SELECT coalesce(q.n, 0) AS n, coalesce(q.arrived, 0) AS arrived, coalesce(q.doubtful, 0) AS doubtful, coalesce(q.refused, 0) AS refused) p
 WHERE s.slot_at >= %(since)s AND s.kind = 'message' AND s.ended_at IS NOT NULL
   AND s.reason IS DISTINCT FROM 'person_arrived' AND s.reason IS DISTINCT FROM 'person_not_arrived'
   AND NOT (s.state = 'unresolved' AND s.reason = 'restored')   -- what it did is what the ledger forgot
   AND CASE s.state WHEN 'delivered' THEN p.n = 0 OR p.arrived < p.n OR p.refused > 0
                    WHEN 'partial' THEN p.arrived = 0 OR (p.arrived = p.n AND p.refused = 0)
                    WHEN 'unresolved' THEN p.n = 0 OR (p.arrived = p.n AND s.reason IS DISTINCT FROM 'lookup_unavailable')
                    ELSE p.arrived > 0 OR p.doubtful > 0 END

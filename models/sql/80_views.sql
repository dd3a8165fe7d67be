-- The customer's log table as a view over the ledger (B46-B62): a row per slot with an attempt, or that ended failed or expired.
CREATE OR REPLACE VIEW kb_schedule_logs AS
SELECT s.id, s.schedule_id, h.row ->> 'target_room_id' AS target_room_id,
       CASE WHEN p.n > 0 THEN p.sent_text WHEN h.row ->> 'send_order' <> 'images_only' THEN h.row ->> 'message_text' END AS sent_message_text, p.sent_images, h.row ->> 'send_order' AS send_order,
       CASE s.state WHEN 'delivered' THEN 'success' WHEN 'partial' THEN 'partial' WHEN 'failed' THEN 'failed' WHEN 'expired' THEN 'failed' WHEN 'unresolved' THEN 'failed' END AS status,
       CASE WHEN s.state = 'unresolved' THEN 'may have arrived: ' || s.reason WHEN s.state IN ('failed', 'expired', 'partial') THEN coalesce(a.last_reason, s.reason) END AS error_message,
       a.api_response, s.slot_at AS scheduled_at, coalesce(a.started_at, s.ended_at, s.created_at) AS started_at, s.ended_at AS completed_at,
       (extract(epoch FROM s.ended_at - a.started_at) * 1000)::int AS duration_ms, s.created_at, s.state AS outcome
  FROM slots s
  LEFT JOIN kb_schedule_history h ON h.schedule_id = s.schedule_id AND h.version = s.content_version
  LEFT JOIN LATERAL (SELECT min(x.sending_at) AS started_at, (array_agg(x.answer ORDER BY x.sending_at DESC))[1] AS api_response,
                            (array_agg(CASE WHEN x.outcome IS DISTINCT FROM 'accepted' THEN x.reason END ORDER BY x.sending_at DESC))[1] AS last_reason, count(*) AS n
                       FROM attempts x WHERE x.schedule_id = s.schedule_id AND x.slot_at = s.slot_at) a ON true
  LEFT JOIN LATERAL (SELECT count(*) AS n, string_agg(y.body, E'\n' ORDER BY y.ord) FILTER (WHERE y.kind = 'text') AS sent_text,
                            jsonb_agg(jsonb_build_object('id', y.image_id, 'state', y.state) ORDER BY y.ord) FILTER (WHERE y.kind = 'image') AS sent_images
                       FROM parts y WHERE y.schedule_id = s.schedule_id AND y.slot_at = s.slot_at) p ON true
 WHERE s.kind = 'message' AND s.ended_at IS NOT NULL AND (a.n > 0 OR s.state IN ('failed', 'expired')) AND s.state NOT IN ('skipped', 'cancelled');

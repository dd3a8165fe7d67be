-- What people decide. Each keeps who, when and why.

-- cancel: a slot that has not started. The reason is a closed word; who, when and the note stand beside it. Answers the new state, or why not: gone | over | started.
CREATE OR REPLACE FUNCTION slot_cancel(p_sid bigint, p_sat timestamptz, p_note text) RETURNS text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE s slots%ROWTYPE;
BEGIN
  SELECT * INTO s FROM slots WHERE schedule_id = p_sid AND slot_at = p_sat FOR UPDATE;
  IF NOT FOUND THEN RETURN 'gone'; ELSIF s.ended_at IS NOT NULL THEN RETURN 'over'; ELSIF s.exposed > 0 THEN RETURN 'started'; END IF;
  UPDATE slots SET state = 'cancelled', reason = 'cancelled', cleared_at = ledger_now(), cleared_by = ledger_who(), cleared_note = nullif(p_note, ''), ended_at = ledger_now(), owner = NULL, lease_until = NULL, republish_at = NULL, fence = fence + 1
    WHERE schedule_id = p_sid AND slot_at = p_sat;
  RETURN 'cancelled';
END $$;

-- resolve: a person says what became of an unresolved slot. The only way out of it besides late evidence.
CREATE OR REPLACE FUNCTION slot_resolve(p_sid bigint, p_sat timestamptz, p_arrived boolean, p_note text) RETURNS text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE now_ text; t timestamptz := ledger_now();
BEGIN
  SELECT state INTO now_ FROM slots WHERE schedule_id = p_sid AND slot_at = p_sat FOR UPDATE;
  IF NOT FOUND THEN RETURN 'gone'; ELSIF now_ <> 'unresolved' THEN RETURN 'not_unresolved'; END IF;
  UPDATE slots SET state = CASE WHEN p_arrived THEN 'delivered' ELSE 'failed' END, reason = CASE WHEN p_arrived THEN 'person_arrived' ELSE 'person_not_arrived' END,
      cleared_at = t, cleared_by = ledger_who(), cleared_note = p_note WHERE schedule_id = p_sid AND slot_at = p_sat;
  UPDATE parts SET state = CASE WHEN p_arrived THEN 'accepted' ELSE 'failed' END, done_at = coalesce(done_at, t)
    WHERE schedule_id = p_sid AND slot_at = p_sat AND state NOT IN ('accepted', 'delivered');
  RETURN CASE WHEN p_arrived THEN 'delivered' ELSE 'failed' END;
END $$;

-- resend: a new slot of the same schedule, slot time = now (A55). It passes gate and quota like any other. Parts that were accepted are not sent
-- again. A part that may have arrived keeps its idempotency key while the provider honours it (p_key_ttl), else the new slot is marked dup_risk.
-- Answers the new slot's time; NULL: no such slot, or it is still live.
CREATE OR REPLACE FUNCTION slot_resend(p_sid bigint, p_sat timestamptz, p_key_ttl interval, p_grace interval, p_validity interval, p_note text) RETURNS timestamptz LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE o slots%ROWTYPE; t timestamptz; risk boolean; rearranged int;
BEGIN
  SELECT * INTO o FROM slots WHERE schedule_id = p_sid AND slot_at = p_sat FOR UPDATE;
  IF NOT FOUND OR o.ended_at IS NULL THEN RETURN NULL; END IF;
  t := date_trunc('milliseconds', ledger_now());
  WHILE EXISTS (SELECT 1 FROM slots WHERE schedule_id = p_sid AND slot_at = t) LOOP t := t + interval '1 ms'; END LOOP;
  SELECT o.reason IS NOT DISTINCT FROM 'restored' OR coalesce(bool_or((p.tainted OR p.state = 'unknown') AND NOT (o.provider_kind IS NOT DISTINCT FROM 'key' AND p.sending_at + p_key_ttl > t)), false) INTO risk
    FROM parts p WHERE p.schedule_id = p_sid AND p.slot_at = p_sat;
  INSERT INTO slots (schedule_id, slot_at, kind, origin, room_ref, content_version, priority, not_before, start_by, finish_by, fence, dup_risk, resend_of)
    VALUES (p_sid, t, o.kind, 'resend', o.room_ref, o.content_version, o.priority, t, t + least(p_grace, p_validity), t + p_validity, o.content_version::bigint << 20, risk, slot_public_id(p_sid, p_sat));
  IF EXISTS (SELECT 1 FROM parts WHERE schedule_id = p_sid AND slot_at = p_sat AND state NOT IN ('accepted', 'delivered')) THEN
    INSERT INTO parts (schedule_id, slot_at, ord, kind, body, image_id, image_ids, idem_key, gap_ms)
      SELECT p_sid, t, row_number() OVER (ORDER BY ord) - 1, kind, body, image_id, image_ids,
             CASE WHEN (tainted OR state = 'unknown') AND o.provider_kind IS NOT DISTINCT FROM 'key' AND sending_at + p_key_ttl > t THEN idem_key
                  ELSE encode(sha256(convert_to(p_sid || ':' || extract(epoch FROM t) || ':' || ord, 'UTF8')), 'hex') END,
             CASE WHEN row_number() OVER (ORDER BY ord) = 1 THEN 0 ELSE gap_ms END
        FROM parts WHERE schedule_id = p_sid AND slot_at = p_sat AND state NOT IN ('accepted', 'delivered');
  END IF;
  IF o.state = 'unresolved' THEN
    UPDATE slots SET cleared_at = ledger_now(), cleared_by = ledger_who(), cleared_note = coalesce(p_note, 'resent') WHERE schedule_id = p_sid AND slot_at = p_sat AND cleared_at IS NULL;
  END IF;
  PERFORM pg_notify('jeongsi_schedule', '');
  RETURN t;
END $$;

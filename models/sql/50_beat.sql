-- What beats say to the ledger. Any number of beats may say it at once: rows are taken with SKIP LOCKED.
-- While the database is held (ledger_held) none of it moves a slot: what may have been sent must not be called expired, skipped or due.

-- Lay promised slots down. A slot that stands already is left alone: the primary key is what makes N planners safe.
-- The fence starts at version * 2^20, so that a slot laid down again after an edit outranks its former life.
-- p_cancel: the reason, where an edit called a slot off after its time and before it was laid down.
-- An instant of a time that a restored database may have forgotten ends as a person said at the release (instance_release).
CREATE OR REPLACE FUNCTION plan_slots(p_sid bigint[], p_sat timestamptz[], p_version int[], p_start_by timestamptz[], p_finish_by timestamptz[], p_superseded boolean[],
  p_expired boolean[], p_room bigint[], p_priority smallint[], p_latest boolean[], p_kind text[], p_cancel text[]) RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE n int; t timestamptz := ledger_now(); m timestamptz := clock_timestamp(); forgot instance%ROWTYPE;
BEGIN
  SELECT * INTO forgot FROM instance WHERE past IN ('unresolved', 'expire') AND past_to >= (SELECT min(x) FROM unnest(p_sat) x);
  INSERT INTO slots (schedule_id, slot_at, kind, content_version, fence, not_before, start_by, finish_by, superseded, room_ref, priority, keep_latest, state, reason, ended_at)
    SELECT i.sid, i.sat, i.kind, i.version, i.version::bigint << 20, i.sat, i.start_by, i.finish_by, i.superseded, i.room, i.priority, i.latest,
           CASE WHEN i.late THEN 'expired' ELSE 'planned' END, CASE WHEN i.late THEN 'scheduler_down' END, CASE WHEN i.late THEN t END
      FROM (SELECT x.*, x.expired AND (forgot.past_to IS NULL OR x.sat > forgot.past_to OR x.finish_by < forgot.past_from) AS late
              FROM unnest(p_sid, p_sat, p_version, p_start_by, p_finish_by, p_superseded, p_expired, p_room, p_priority, p_latest, p_kind)
                x(sid, sat, version, start_by, finish_by, superseded, expired, room, priority, latest, kind)) i
      ORDER BY i.sid, i.sat   -- two planners never wait in a circle
    ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF forgot.past_to IS NOT NULL THEN   -- not of a schedule that was made after the release
    UPDATE slots s SET state = CASE forgot.past WHEN 'expire' THEN 'expired' ELSE 'unresolved' END, reason = 'restored', ended_at = t, fence = s.fence + 1
      FROM unnest(p_sid, p_sat) i(sid, sat)
     WHERE s.schedule_id = i.sid AND s.slot_at = i.sat AND s.state = 'planned' AND s.created_at >= m AND s.slot_at <= forgot.past_to AND s.finish_by >= forgot.past_from
       AND EXISTS (SELECT 1 FROM kb_schedule_history h WHERE h.schedule_id = i.sid AND h.valid_from <= forgot.past_to);
  END IF;
  IF array_length(array_remove(p_cancel, NULL), 1) > 0 THEN
    UPDATE slots s SET state = 'cancelled', reason = i.why, ended_at = t, fence = s.fence + 1 FROM unnest(p_sid, p_sat, p_cancel) i(sid, sat, why)
     WHERE s.schedule_id = i.sid AND s.slot_at = i.sat AND i.why IS NOT NULL AND s.state = 'planned' AND s.created_at >= m;
  END IF;
  RETURN n;
END $$;

-- An edit brought the next slot of a schedule closer: what stands before it and has not started yields to it, so that an old text never arrives
-- after a newer one. Never below p_min after its own time, nor below now: what was taken up in time stays so. Rows in key order, as everywhere.
CREATE OR REPLACE FUNCTION yield_to_next(p_sid bigint[], p_next timestamptz[], p_min interval) RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE n int; t timestamptz := ledger_now();
BEGIN
  -- Found within bounds, locked without them: see the head of 40_worker.sql.
  WITH near AS MATERIALIZED (SELECT s.schedule_id, s.slot_at, i.next FROM unnest(p_sid, p_next) i(sid, next)
      JOIN slots s ON s.schedule_id = i.sid AND s.slot_at < i.next AND s.slot_at > t - interval '8 days' WHERE s.ended_at IS NULL ORDER BY s.schedule_id, s.slot_at),
  c AS (SELECT s.schedule_id, s.slot_at, greatest(s.slot_at + p_min, near.next - p_min, t) AS finish FROM near
      CROSS JOIN LATERAL (SELECT o.schedule_id, o.slot_at FROM slots o WHERE o.schedule_id = near.schedule_id AND o.slot_at = near.slot_at
        AND o.ended_at IS NULL AND o.exposed = 0 AND o.phase = 'send' AND o.origin = 'plan' FOR UPDATE) s)
  UPDATE slots s SET finish_by = c.finish, start_by = least(s.start_by, c.finish), superseded = true FROM c
   WHERE s.schedule_id = c.schedule_id AND s.slot_at = c.slot_at AND s.finish_by > c.finish;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- Close what may no longer start or go on. Runs before dispatch and republish, so that nothing dead is published.
CREATE OR REPLACE FUNCTION expire_due(p_limit int, p_ahead interval DEFAULT '0') RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE n int; t timestamptz := ledger_now();
BEGIN
  IF ledger_held() THEN RETURN 0; END IF;
  WITH late AS (SELECT schedule_id, slot_at FROM slots WHERE state IN ('planned', 'waiting', 'queued') AND phase = 'send' AND admitted_at IS NULL AND start_by < t
                UNION SELECT schedule_id, slot_at FROM slots WHERE state IN ('planned', 'waiting', 'queued') AND phase = 'send' AND finish_by < t
                UNION SELECT schedule_id, slot_at FROM slots WHERE cancel_requested AND state IN ('planned', 'waiting', 'queued') AND phase = 'send' LIMIT p_limit),
  c AS (SELECT s.schedule_id, s.slot_at FROM slots s JOIN late USING (schedule_id, slot_at) WHERE s.state IN ('planned', 'waiting', 'queued') AND s.phase = 'send'
          AND (s.cancel_requested OR s.finish_by < t OR (s.admitted_at IS NULL AND s.start_by < t)) ORDER BY s.schedule_id, s.slot_at FOR UPDATE OF s SKIP LOCKED),
  k AS (SELECT c.schedule_id, c.slot_at, coalesce(bool_or(p.state IN ('sending', 'unknown') OR (p.tainted AND p.state IN ('pending', 'failed'))), false) AS doubt,
               coalesce(bool_or(p.state IN ('accepted', 'delivered')), false) AS some, coalesce(bool_and(p.state IN ('accepted', 'delivered')), false) AS all_in
          FROM c LEFT JOIN parts p USING (schedule_id, slot_at) GROUP BY 1, 2)
  UPDATE slots s SET ended_at = CASE WHEN k.all_in THEN NULL ELSE t END, republish_at = CASE WHEN k.all_in AND s.state = 'queued' THEN t END,
      phase = CASE WHEN k.all_in THEN 'confirm' ELSE s.phase END, not_before = CASE WHEN k.all_in THEN least(s.not_before, t) ELSE s.not_before END,   -- nothing left to send
      state = CASE WHEN k.all_in THEN s.state WHEN k.doubt THEN 'unresolved' WHEN k.some THEN 'partial' WHEN s.cancel_requested THEN 'cancelled' ELSE 'expired' END,
      reason = CASE WHEN k.all_in THEN NULL WHEN s.cancel_requested THEN coalesce(s.reason, 'deleted')
                    WHEN s.wait_reason IN ('room_busy', 'device_busy') THEN s.wait_reason
                    WHEN s.admitted_at IS NULL AND s.start_by < t AND NOT (s.superseded AND s.finish_by < t) THEN CASE s.state WHEN 'planned' THEN 'not_dispatched' ELSE 'no_worker' END
                    WHEN s.superseded THEN 'superseded' ELSE 'validity' END
    FROM k WHERE s.schedule_id = k.schedule_id AND s.slot_at = k.slot_at;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- misfire = latest: of several due slots of one schedule only the newest goes out.
CREATE OR REPLACE FUNCTION coalesce_due(p_ahead interval, p_limit int) RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE n int; t timestamptz := ledger_now();
BEGIN
  IF ledger_held() THEN RETURN 0; END IF;
  WITH c AS (SELECT s.schedule_id, s.slot_at FROM slots s WHERE s.state = 'planned' AND s.keep_latest AND s.not_before <= t
      AND EXISTS (SELECT 1 FROM slots x WHERE x.schedule_id = s.schedule_id AND x.slot_at > s.slot_at AND x.slot_at <= t + p_ahead AND x.origin = 'plan' AND x.ended_at IS NULL)
      ORDER BY s.schedule_id, s.slot_at LIMIT p_limit FOR UPDATE SKIP LOCKED)
  UPDATE slots s SET state = 'skipped', reason = 'coalesced', ended_at = t FROM c WHERE s.schedule_id = c.schedule_id AND s.slot_at = c.slot_at;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- Take expired leases. Before the point of no return: again at once (poison after 5). After it: unknown, to be confirmed.
CREATE OR REPLACE FUNCTION reap(p_limit int, p_max_spins int DEFAULT 5) RETURNS TABLE (sid bigint, sat timestamptz, state text, reason text) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now(); sids bigint[]; sats timestamptz[];
BEGIN
  IF ledger_held() THEN RETURN; END IF;
  SELECT array_agg(c.schedule_id), array_agg(c.slot_at) INTO sids, sats FROM (SELECT s.schedule_id, s.slot_at FROM slots s WHERE s.state = 'leased' AND s.lease_until < t
    ORDER BY s.lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED) c;
  IF sids IS NULL THEN RETURN; END IF;
  UPDATE attempts a SET outcome = 'unknown', reason = 'lease_expired', ended_at = t FROM unnest(sids, sats) i(sid, sat)
    WHERE a.schedule_id = i.sid AND a.slot_at = i.sat AND a.outcome IS NULL;
  UPDATE parts p SET state = 'unknown' FROM unnest(sids, sats) i(sid, sat) WHERE p.schedule_id = i.sid AND p.slot_at = i.sat AND p.state = 'sending';
  RETURN QUERY WITH k AS (SELECT i.sid, i.sat, coalesce(bool_or(p.state = 'unknown'), false) AS doubt, coalesce(bool_and(p.state IN ('accepted', 'delivered')), false) AS all_in,
      coalesce(bool_or(p.state IN ('accepted', 'delivered')), false) AS some, coalesce(bool_or(p.tainted AND p.state IN ('pending', 'failed')), false) AS tainted
    FROM unnest(sids, sats) i(sid, sat) LEFT JOIN parts p ON p.schedule_id = i.sid AND p.slot_at = i.sat GROUP BY 1, 2),
  d AS (SELECT k.*, CASE WHEN k.doubt OR k.all_in THEN 'waiting' WHEN s.spins < p_max_spins THEN 'queued' WHEN s.phase = 'confirm' OR k.tainted THEN 'unresolved'
                         WHEN k.some THEN 'partial' ELSE 'failed' END AS next FROM k JOIN slots s ON s.schedule_id = k.sid AND s.slot_at = k.sat)
  UPDATE slots s SET state = d.next, phase = CASE WHEN d.next = 'waiting' THEN 'confirm' ELSE s.phase END, owner = NULL, lease_until = NULL, fence = s.fence + 1,
      not_before = CASE WHEN d.next = 'waiting' THEN t ELSE s.not_before END, republish_at = CASE WHEN d.next = 'queued' THEN t END,
      wait_reason = CASE WHEN d.doubt THEN 'lease_expired_after_ponr' WHEN d.all_in THEN 'lease_expired_all_sent' ELSE 'lease_expired' END,
      reason = CASE WHEN d.next IN ('waiting', 'queued') THEN NULL ELSE 'poison' END, ended_at = CASE WHEN d.next IN ('waiting', 'queued') THEN NULL ELSE t END
    FROM d WHERE s.schedule_id = d.sid AND s.slot_at = d.sat RETURNING s.schedule_id, s.slot_at, s.state, s.wait_reason;
END $$;

-- due -> queued. With p_until in the future: prepared ahead, the caller pushes at the slot's time.
CREATE OR REPLACE FUNCTION dispatch(p_until timestamptz, p_limit int, p_again interval, p_again_prepared interval)
RETURNS TABLE (sid bigint, sat timestamptz, queue text, not_before timestamptz, priority smallint, channel text, device text) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now();
BEGIN
  IF ledger_held() THEN RETURN; END IF;
  RETURN QUERY WITH c AS (SELECT s.schedule_id, s.slot_at, s.room_ref FROM slots s WHERE s.state IN ('planned', 'waiting') AND s.not_before <= p_until
      ORDER BY s.not_before, s.priority, s.slot_at, s.schedule_id LIMIT p_limit FOR UPDATE SKIP LOCKED)
    UPDATE slots s SET state = 'queued', republish_at = CASE WHEN s.not_before > t THEN s.not_before + p_again_prepared ELSE t + p_again END
      FROM c LEFT JOIN rooms r ON r.id = c.room_ref
     WHERE s.schedule_id = c.schedule_id AND s.slot_at = c.slot_at
     RETURNING s.schedule_id, s.slot_at, slot_queue(s.kind, s.phase), s.not_before, s.priority, r.channel, r.device;
END $$;

-- Hints that look lost. Only while the queue is at or below its low-water mark (p_publish); else look again later.
CREATE OR REPLACE FUNCTION republish(p_queue text, p_limit int, p_again interval, p_publish boolean)
RETURNS TABLE (sid bigint, sat timestamptz, queue text, not_before timestamptz, priority smallint, channel text, device text) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now();
BEGIN
  IF ledger_held() THEN RETURN; END IF;
  RETURN QUERY WITH c AS (SELECT s.schedule_id, s.slot_at FROM slots s WHERE s.state = 'queued' AND slot_queue(s.kind, s.phase) = p_queue AND s.republish_at <= t
      ORDER BY s.republish_at, s.finish_by LIMIT p_limit FOR UPDATE SKIP LOCKED),
    u AS (UPDATE slots s SET republish_at = t + p_again FROM c WHERE s.schedule_id = c.schedule_id AND s.slot_at = c.slot_at RETURNING s.*)
    SELECT u.schedule_id, u.slot_at, slot_queue(u.kind, u.phase), u.not_before, u.priority, r.channel, r.device FROM u LEFT JOIN rooms r ON r.id = u.room_ref WHERE p_publish
     ORDER BY u.priority, u.slot_at, u.schedule_id;
END $$;

-- Slots that were just taken back from the dead: their hint is certainly gone, so they are told anew at once, however long the queue is.
-- (Left to `republish`, they would wait until the queue is short, and in a backlog every newer slot would go before them.)
CREATE OR REPLACE FUNCTION tell_again(p_sid bigint[], p_sat timestamptz[], p_again interval)
RETURNS TABLE (sid bigint, sat timestamptz, queue text, not_before timestamptz, priority smallint, channel text, device text)
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now(); lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  RETURN QUERY WITH free AS (SELECT s.* FROM unnest(p_sid, p_sat) i(sid, sat)
      CROSS JOIN LATERAL (SELECT o.schedule_id, o.slot_at FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat
        AND o.state || '' = 'queued' FOR UPDATE SKIP LOCKED) s),
    u AS (UPDATE slots s SET republish_at = t + p_again FROM free WHERE s.schedule_id = free.schedule_id AND s.slot_at = free.slot_at AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi) RETURNING s.*)
    SELECT u.schedule_id, u.slot_at, slot_queue(u.kind, u.phase), u.not_before, u.priority, r.channel, r.device FROM u LEFT JOIN rooms r ON r.id = u.room_ref
     ORDER BY u.priority, u.slot_at, u.schedule_id;
END $$;

-- What there is to do and when, by index probes alone, so that an idle tick costs one round trip. NULL: nothing; all of it while held.
CREATE OR REPLACE FUNCTION beat_agenda() RETURNS TABLE (at timestamptz, dispatch_at timestamptz, expire_at timestamptz, lease_until timestamptz,
  send_again_at timestamptz, confirm_again_at timestamptz, tracking_again_at timestamptz, plan_at timestamptz, dirty boolean) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  at := ledger_now(); dirty := false;
  IF ledger_held() THEN RETURN NEXT; RETURN; END IF;
  dispatch_at := (SELECT min(not_before) FROM slots WHERE state IN ('planned', 'waiting'));
  expire_at := least((SELECT min(start_by) FROM slots WHERE state IN ('planned', 'waiting', 'queued') AND phase = 'send' AND admitted_at IS NULL),
                     (SELECT min(finish_by) FROM slots WHERE state IN ('planned', 'waiting', 'queued') AND phase = 'send'),
                     CASE WHEN EXISTS (SELECT 1 FROM slots WHERE cancel_requested AND state IN ('planned', 'waiting', 'queued') AND phase = 'send') THEN at END);
  lease_until := (SELECT min(s.lease_until) FROM slots s WHERE s.state = 'leased');
  send_again_at := (SELECT min(republish_at) FROM slots WHERE state = 'queued' AND phase = 'send' AND kind = 'message');
  confirm_again_at := (SELECT min(republish_at) FROM slots WHERE state = 'queued' AND phase = 'confirm' AND kind = 'message');
  tracking_again_at := (SELECT min(republish_at) FROM slots WHERE state = 'queued' AND kind = 'tracking');
  plan_at := (SELECT min(due_at) FROM schedule_clock);
  dirty := EXISTS (SELECT 1 FROM schedule_dirty);
  RETURN NEXT;
END $$;

-- last_sent_at, send_count, next_send_at and a one-off's `completed`: one set statement that skips locked schedules.
CREATE OR REPLACE FUNCTION refresh_schedules(p_limit int) RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE n int; ids bigint[]; recent timestamptz := ledger_now() - interval '35 days';   -- no slot lives that long
BEGIN
  PERFORM refresh_tracking(p_limit);
  SELECT array_agg(k.id) INTO ids FROM (SELECT DISTINCT d.schedule_id FROM (SELECT schedule_id FROM schedule_dirty LIMIT p_limit) d ORDER BY 1) d
    CROSS JOIN LATERAL (SELECT k.id FROM kb_schedule k WHERE k.id = d.schedule_id FOR UPDATE SKIP LOCKED) k;
  IF ids IS NULL THEN
    DELETE FROM schedule_dirty d WHERE NOT EXISTS (SELECT 1 FROM kb_schedule k WHERE k.id = d.schedule_id)
      AND NOT EXISTS (SELECT 1 FROM tracking_upload_scheduler k WHERE k.id = d.schedule_id);
    RETURN 0;
  END IF;
  WITH d AS (DELETE FROM schedule_dirty WHERE schedule_id = ANY (ids) RETURNING schedule_id, sent, sent_at),
  x AS (SELECT schedule_id, sum(sent) AS sent, max(sent_at) AS sent_at FROM d GROUP BY 1),
  y AS (SELECT x.*, c.planned_to, l.next_slot, coalesce(l.live, false) AS live
        FROM x LEFT JOIN schedule_clock c ON c.schedule_id = x.schedule_id
          CROSS JOIN LATERAL (SELECT min(s.slot_at) FILTER (WHERE s.exposed = 0) AS next_slot, bool_or(true) AS live FROM slots s
            WHERE s.schedule_id = x.schedule_id AND s.slot_at > recent AND s.ended_at IS NULL) l)
  UPDATE kb_schedule k SET send_count = k.send_count + coalesce(y.sent, 0), last_sent_at = greatest(k.last_sent_at, y.sent_at),
      next_send_at = least(y.next_slot, CASE WHEN k.status = 'active' THEN y.planned_to END),
      status = CASE WHEN k.status = 'active' AND k.schedule_type = 'once' AND NOT y.live AND y.planned_to IS NULL AND EXISTS (SELECT 1 FROM slots s WHERE s.schedule_id = k.id)
                    THEN 'completed' ELSE k.status END
    FROM y WHERE k.id = y.schedule_id;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- A beat says that it is alive. If no beat ticked for longer than p_silence, the silence becomes one incident row.
CREATE OR REPLACE FUNCTION beat_tick(p_node text, p_started timestamptz, p_silence interval) RETURNS timestamptz LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE t timestamptz := ledger_now(); seen timestamptz;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('jeongsi.beat_tick'));
  SELECT max(last_tick_at) INTO seen FROM beat_pulse;
  IF seen < t - p_silence THEN INSERT INTO incidents (at, kind, range_from, range_to, detail) VALUES (t, 'scheduler_down', seen, t, jsonb_build_object('back', p_node)); END IF;
  INSERT INTO beat_pulse (node, started_at, last_tick_at) VALUES (p_node, p_started, t)
    ON CONFLICT (node) DO UPDATE SET last_tick_at = t, started_at = excluded.started_at;
  DELETE FROM beat_pulse WHERE last_tick_at < t - interval '1 day';
  RETURN t;
END $$;

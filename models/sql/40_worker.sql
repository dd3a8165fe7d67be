-- What workers say to the ledger. Every command takes a set, locks slots in key order, then rooms, then devices,
-- decides per slot and answers per slot. The bounds lo/hi let the executor open only the partitions that hold the set.
-- Plans are made once per connection (force_generic_plan): planning over the weeks of the ledger costs milliseconds, running microseconds.
--
-- Every command finds its rows by key, whatever the statistics say. The weeks of the ledger are empty when they are planned for, and at 09:00 thousands of slots
-- share one instant: a planner that begins at the slots of that instant, instead of at the set it was given, makes each command cost O(all of them). So
--   reads are LATERAL with OFFSET 0, which nothing can turn round;
--   a written table has no condition of its own that an index could serve: `x BETWEEN lo AND hi OR x = hi` picks the weeks (partitions), but no index;
--   a statement that locks rows has no bounds lo/hi at all: rechecking a row that was changed while it waited, PostgreSQL 18 looks for it, and for all that follow it,
--   among the pruned weeks, and finds none: they would be passed over unlocked (tests/integration/test_a_contended_set_is_locked_whole.py);
--   a state that a partial index knows is compared as `state || ''`; a scan of a whole table is ruled out, and one of a whole index made dear.

-- Lock gates in their order; NULLs and gates that do not exist are left out.
CREATE OR REPLACE FUNCTION rooms_lock(p_rooms bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM (SELECT DISTINCT u.ref FROM unnest(p_rooms) u(ref) ORDER BY 1) i CROSS JOIN LATERAL (SELECT 1 FROM room_gate g WHERE g.room_ref = i.ref FOR UPDATE) g;
END $$;
CREATE OR REPLACE FUNCTION devices_lock(p_devices text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_devices IS NULL OR array_remove(p_devices, NULL) = '{}' THEN RETURN; END IF;
  PERFORM 1 FROM (SELECT DISTINCT u.name FROM unnest(p_devices) u(name) ORDER BY 1) i CROSS JOIN LATERAL (SELECT 1 FROM device_gate g WHERE g.device = i.name FOR UPDATE) g;
END $$;
CREATE OR REPLACE FUNCTION quotas_lock(p_rooms bigint[], p_days date[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM (SELECT DISTINCT u.ref, u.day FROM unnest(p_rooms, p_days) u(ref, day) WHERE u.day IS NOT NULL ORDER BY 1, 2) i
    CROSS JOIN LATERAL (SELECT 1 FROM room_quota q WHERE q.room_ref = i.ref AND q.day = i.day FOR UPDATE) q;
END $$;

-- lease: queued -> leased, revocable. Verdicts: leased | early | taken | over | gone | held.
--   early: not_before lies ahead by wait_ms; over: start_by or finish_by passed (expire_due closes it);
--   taken: somebody else has it or it is not queued; gone: no such slot (an edit removed it); held: nothing may leave this database (ledger_held).
CREATE OR REPLACE FUNCTION slot_lease(p_sid bigint[], p_sat timestamptz[], p_owner uuid, p_ttl interval)
RETURNS TABLE (sid bigint, sat timestamptz, verdict text, wait_ms double precision, fence bigint, phase text, content_version int, exposed int,
  finish_ms double precision, age_ms double precision, origin text, dup_risk boolean, reason text, provider_kind text, cancel_requested boolean,
  room_ref bigint, room text, room_name text, channel text, device text, gap_ms int, title text, tz text, content jsonb, parts jsonb)
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz; held boolean; lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  PERFORM 1 FROM (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat) ORDER BY 1, 2) i
    CROSS JOIN LATERAL (SELECT 1 FROM slots s WHERE s.schedule_id = i.sid AND s.slot_at = i.sat FOR UPDATE) s;
  t := ledger_now(); held := ledger_held();
  RETURN QUERY
  WITH i AS (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat)),
  j AS (SELECT i.sid, i.sat, s.schedule_id AS found, s.not_before,
          CASE WHEN s.schedule_id IS NULL THEN 'gone' WHEN held THEN 'held' WHEN s.state <> 'queued' THEN 'taken' WHEN s.not_before > t THEN 'early'
               WHEN s.phase = 'send' AND (s.cancel_requested OR s.finish_by < t OR (s.admitted_at IS NULL AND s.start_by < t)) THEN 'over'
               ELSE 'leased' END AS verdict
        FROM i LEFT JOIN LATERAL (SELECT o.* FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) s ON true),
  u AS (UPDATE slots s SET state = 'leased', owner = p_owner, lease_until = t + p_ttl, fence = s.fence + 1, spins = s.spins + 1, republish_at = NULL,
          admitted_at = CASE WHEN s.phase = 'send' THEN coalesce(s.admitted_at, t) ELSE s.admitted_at END
        FROM j WHERE j.verdict = 'leased' AND s.schedule_id = j.sid AND s.slot_at = j.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi) RETURNING s.*)
  SELECT j.sid, j.sat, j.verdict, CASE WHEN j.verdict = 'early' THEN extract(epoch FROM j.not_before - t)::float8 * 1000 ELSE 0 END,
         u.fence, u.phase, u.content_version, u.exposed::int, extract(epoch FROM u.finish_by - t)::float8 * 1000, extract(epoch FROM t - u.slot_at)::float8 * 1000,
         u.origin, u.dup_risk, coalesce(u.reason, u.wait_reason), u.provider_kind, u.cancel_requested,
         u.room_ref, coalesce(r.address, r.room_id::text), r.name::text, r.channel, r.device, r.gap_ms, h.row ->> 'title', h.row ->> 'tz',
         CASE WHEN u.phase = 'send' THEN jsonb_build_object('message_text', h.row -> 'message_text', 'message_images', h.row -> 'message_images', 'send_order', h.row -> 'send_order',
           'send_interval_seconds', h.row -> 'send_interval_seconds', 'tz', h.row -> 'tz') END,
         (SELECT jsonb_agg(jsonb_build_object('ord', p.ord, 'kind', p.kind, 'body', p.body, 'image_id', p.image_id, 'image_ids', p.image_ids, 'state', p.state, 'idem_key', p.idem_key,
              'gap_ms', p.gap_ms, 'tries', p.tries, 'misses', p.misses, 'tainted', p.tainted, 'attempt_id', p.attempt_id, 'provider_msg_id', p.provider_msg_id,
              'since_sending_ms', extract(epoch FROM t - p.sending_at)::float8 * 1000, 'settling_ms', extract(epoch FROM t - settling_from(p.sending_at, t))::float8 * 1000, 'since_done_ms', extract(epoch FROM t - p.done_at)::float8 * 1000,
              'reaped', a.reason = 'lease_expired', 'before', a.baseline) ORDER BY p.ord)
            FROM parts p LEFT JOIN attempts a ON a.slot_at = p.slot_at AND a.attempt_id = p.attempt_id WHERE p.schedule_id = u.schedule_id AND p.slot_at = u.slot_at)
    FROM j LEFT JOIN u ON u.schedule_id = j.sid AND u.slot_at = j.sat
      LEFT JOIN rooms r ON r.id = u.room_ref
      LEFT JOIN kb_schedule_history h ON h.schedule_id = u.schedule_id AND h.version = u.content_version;
END $$;

-- renew: one UPDATE for all running slots of a process; never shortens a lease. Returns what is still ours, also a slot
-- that somebody holds locked just now (our own evidence, mostly): it is not waited for, the next renewal finds it.
CREATE OR REPLACE FUNCTION slot_renew(p_sid bigint[], p_sat timestamptz[], p_owner uuid, p_ttl interval)
RETURNS TABLE (sid bigint, sat timestamptz) LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz; lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  t := ledger_now();
  RETURN QUERY WITH free AS (SELECT s.* FROM unnest(p_sid, p_sat) i(sid, sat)
      CROSS JOIN LATERAL (SELECT o.schedule_id, o.slot_at FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat
        AND o.state || '' = 'leased' AND o.owner = p_owner AND o.lease_until + interval '0' > t FOR UPDATE SKIP LOCKED) s),
    u AS (UPDATE slots s SET lease_until = greatest(s.lease_until, t + p_ttl) FROM free WHERE s.schedule_id = free.schedule_id AND s.slot_at = free.slot_at AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi))
    SELECT i.sid, i.sat FROM unnest(p_sid, p_sat) i(sid, sat) CROSS JOIN LATERAL (SELECT 1 FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi
        AND o.state || '' = 'leased' AND o.owner = p_owner AND o.lease_until + interval '0' > t OFFSET 0) s;
END $$;

-- point of no return, one part per slot, a wave at a time (exactly-once.md R5). The caller may write only after this COMMIT is
-- acknowledged. Verdicts: go | fenced | cancelled | expired | early | stale_content | bad_part | tries | no_gate | room_busy |
-- device_busy | quota | held. `p_device`: the device that carries one message at a time, where the provider is one; NULL: the room's own, if it has one.
-- `p_before`: what the provider looked like, kept with the attempt for whoever looks it up. `p_parts` lays the parts down (rendered text, image ids, order) while nothing of the slot is at risk.
CREATE OR REPLACE FUNCTION part_ponr(p_sid bigint[], p_sat timestamptz[], p_ord smallint[], p_fence bigint[], p_attempt uuid[], p_version int[],
  p_hold interval[], p_kind text[], p_parts jsonb[], p_device text[], p_device_hold interval[], p_before jsonb[], p_owner uuid, p_need interval, p_max_tries int)
RETURNS TABLE (sid bigint, sat timestamptz, verdict text, wait_ms double precision, fence bigint)
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz; today date; verdicts text[]; waits double precision[]; fences bigint[]; rooms_ bigint[]; devices_ text[]; channels_ text[]; risks boolean[]; laid_before boolean; held boolean;
  fresh boolean[]; free_froms timestamptz[]; lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  SELECT array_agg(o.room_ref), array_agg(o.device) || p_device INTO rooms_, devices_
    FROM (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat) ORDER BY 1, 2) i
      CROSS JOIN LATERAL (SELECT o.room_ref, r.device FROM slots o LEFT JOIN rooms r ON r.id = o.room_ref WHERE o.schedule_id = i.sid AND o.slot_at = i.sat FOR UPDATE OF o) o;
  PERFORM rooms_lock(rooms_);
  IF array_remove(devices_, NULL) <> '{}' THEN
    INSERT INTO device_gate (device) SELECT DISTINCT x.dev FROM unnest(p_device) x(dev) WHERE x.dev IS NOT NULL AND NOT EXISTS (SELECT 1 FROM device_gate g WHERE g.device = x.dev)
      ORDER BY 1 ON CONFLICT DO NOTHING;   -- a device never goes without its gate
    PERFORM devices_lock(devices_);
  END IF;
  t := ledger_now(); today := korean_day(t); held := ledger_held();     -- after the lock waits, not before them
  WITH i AS (SELECT * FROM unnest(p_sid, p_sat, p_ord, p_fence, p_attempt, p_version, p_hold, p_kind, p_parts, p_device) WITH ORDINALITY
               AS i(sid, sat, ord, f, aid, version, hold, pkind, laid, dev, n)),
  j AS (SELECT i.*, s.fence AS s_fence, s.dup_risk, p.state AS part_state, s.room_ref, s.priority, s.quota_day, s.exposed, coalesce(i.dev, r.device) AS device, r.channel, r.gap_ms, g.free_at AS room_free, d.free_at AS device_free, CASE
      WHEN s.schedule_id IS NULL OR s.state <> 'leased' OR s.fence <> i.f OR s.owner <> p_owner OR s.phase <> 'send' OR s.lease_until < t THEN 'fenced'
      WHEN held THEN 'held'
      WHEN s.cancel_requested THEN 'cancelled'
      WHEN t > s.finish_by THEN 'expired'
      WHEN t < s.slot_at THEN 'early'
      WHEN s.exposed = 0 AND s.content_version <> i.version THEN 'stale_content'
      WHEN row_number() OVER (PARTITION BY i.sid, i.sat ORDER BY i.n) > 1 THEN 'bad_part'
      WHEN s.exposed = 0 AND i.laid IS NOT NULL AND i.ord <> 0 THEN 'bad_part'
      WHEN (s.exposed > 0 OR i.laid IS NULL) AND (p.state IS DISTINCT FROM 'pending' OR EXISTS (SELECT 1 FROM parts q WHERE q.schedule_id = i.sid AND q.slot_at = i.sat
             AND q.slot_at BETWEEN lo AND hi AND q.ord < i.ord AND q.state NOT IN ('accepted', 'delivered'))) THEN 'bad_part'
      WHEN p.tries >= p_max_tries THEN 'tries'
      WHEN s.kind = 'message' AND (g.room_ref IS NULL OR (coalesce(i.dev, r.device) IS NOT NULL AND d.device IS NULL)) THEN 'no_gate'
      WHEN g.free_at > t AND (g.holder_schedule, g.holder_slot) IS DISTINCT FROM (i.sid, i.sat) THEN 'room_busy'
      WHEN s.exposed = 0 AND EXISTS (SELECT 1 FROM slots w WHERE w.room_ref = s.room_ref AND w.state IN ('waiting', 'queued', 'leased') AND w.wait_reason = 'room_busy'
             AND w.phase = 'send' AND w.exposed = 0 AND w.not_before BETWEEN t - interval '5 s' AND t AND w.finish_by > t
             AND (w.priority, w.slot_at, w.schedule_id) < (s.priority, s.slot_at, s.schedule_id)) THEN 'yield'
      WHEN d.free_at > t AND (d.holder_schedule, d.holder_slot) IS DISTINCT FROM (i.sid, i.sat) THEN 'device_busy'
      WHEN d.device IS NOT NULL AND s.exposed = 0 AND EXISTS (SELECT 1 FROM slots w WHERE w.device = d.device AND w.state IN ('waiting', 'queued', 'leased') AND w.wait_reason = 'device_busy'
             AND w.state <> 'leased' AND w.phase = 'send' AND w.exposed = 0 AND w.not_before BETWEEN t - interval '5 s' AND t AND w.finish_by > t
             AND (w.priority, w.slot_at, w.schedule_id) < (s.priority, s.slot_at, s.schedule_id)) THEN 'device_yield'
      WHEN s.quota_day IS NULL AND q.used >= r.quota THEN 'quota'
      ELSE 'go' END AS verdict
    FROM i LEFT JOIN LATERAL (SELECT o.* FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) s ON true
      LEFT JOIN LATERAL (SELECT o.state, o.tries FROM parts o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi AND o.ord = i.ord OFFSET 0) p ON true
      LEFT JOIN LATERAL (SELECT o.* FROM rooms o WHERE o.id = s.room_ref OFFSET 0) r ON true
      LEFT JOIN LATERAL (SELECT o.* FROM room_gate o WHERE o.room_ref = s.room_ref OFFSET 0) g ON true
      LEFT JOIN LATERAL (SELECT o.* FROM device_gate o WHERE o.device = coalesce(i.dev, r.device) OFFSET 0) d ON true
      LEFT JOIN LATERAL (SELECT o.used FROM room_quota o WHERE o.room_ref = s.room_ref AND o.day = today OFFSET 0) q ON true),
  k AS (SELECT j.*, CASE WHEN j.verdict = 'go' AND j.room_ref IS NOT NULL AND row_number() OVER (PARTITION BY j.room_ref, j.verdict ORDER BY j.priority, j.sat, j.sid) > 1
                         THEN 'room_turn' ELSE j.verdict END AS v2 FROM j),
  l AS (SELECT k.*, CASE WHEN k.v2 = 'go' AND k.device IS NOT NULL AND row_number() OVER (PARTITION BY k.device, k.v2 ORDER BY k.priority, k.sat, k.sid) > 1
                         THEN 'device_turn' ELSE k.v2 END AS v3 FROM k)
  SELECT array_agg(CASE v3 WHEN 'room_turn' THEN 'room_busy' WHEN 'yield' THEN 'room_busy' WHEN 'device_turn' THEN 'device_busy' WHEN 'device_yield' THEN 'device_busy' ELSE v3 END ORDER BY n),
         array_agg(CASE v3 WHEN 'room_busy' THEN least(extract(epoch FROM room_free - t)::float8 * 1000, gap_ms + 5000.0) WHEN 'room_turn' THEN gap_ms WHEN 'yield' THEN 200
                           WHEN 'device_busy' THEN least(extract(epoch FROM device_free - t)::float8 * 1000, 5000.0) WHEN 'device_turn' THEN 5000 WHEN 'device_yield' THEN 200
                           WHEN 'early' THEN extract(epoch FROM sat - t)::float8 * 1000 ELSE 0 END ORDER BY n),
         array_agg(s_fence ORDER BY n), array_agg(room_ref ORDER BY n), array_agg(device ORDER BY n), array_agg(channel ORDER BY n),
         array_agg(v3 = 'go' AND quota_day IS NULL AND room_ref IS NOT NULL ORDER BY n), array_agg(greatest(sat, room_free, device_free) ORDER BY n), array_agg(dup_risk ORDER BY n), bool_or(part_state IS NOT NULL)
    INTO verdicts, waits, fences, rooms_, devices_, channels_, fresh, free_froms, risks, laid_before FROM l;
  -- Of the room's quota nobody else takes a unit meanwhile: the room's gate is locked.
  IF rooms_ IS NOT NULL AND NOT 'go' = ANY (verdicts) AND NOT 'device_busy' = ANY (verdicts) THEN   -- the other statements are planned by a set of nobody's
    RETURN QUERY SELECT i.sid, i.sat, i.verdict, i.wait, i.f FROM unnest(p_sid, p_sat, verdicts, waits, fences) i(sid, sat, verdict, wait, f);
    RETURN;
  END IF;

  INSERT INTO parts AS p (schedule_id, slot_at, ord, kind, body, image_id, image_ids, idem_key, gap_ms, state, attempt_id, sending_at, tries)
    SELECT i.sid, i.sat, x.ord, x.kind, x.body, x.image_id, x.image_ids, x.idem_key, x.gap_ms, CASE x.ord WHEN 0 THEN 'sending' ELSE 'pending' END,
           CASE x.ord WHEN 0 THEN i.aid END, CASE x.ord WHEN 0 THEN t END, CASE x.ord WHEN 0 THEN 1 ELSE 0 END
      FROM unnest(p_sid, p_sat, p_attempt, p_parts, verdicts) i(sid, sat, aid, laid, verdict)
        CROSS JOIN LATERAL jsonb_to_recordset(i.laid) x(ord smallint, kind text, body text, image_id bigint, image_ids bigint[], idem_key text, gap_ms int)
     WHERE i.verdict = 'go' AND i.laid IS NOT NULL
    ON CONFLICT (schedule_id, slot_at, ord) DO UPDATE SET kind = excluded.kind, body = excluded.body, image_id = excluded.image_id, image_ids = excluded.image_ids, idem_key = excluded.idem_key,
      gap_ms = excluded.gap_ms, state = CASE excluded.ord WHEN 0 THEN 'sending' ELSE p.state END, attempt_id = CASE excluded.ord WHEN 0 THEN excluded.attempt_id ELSE p.attempt_id END,
      sending_at = CASE excluded.ord WHEN 0 THEN excluded.sending_at ELSE p.sending_at END, done_at = CASE excluded.ord WHEN 0 THEN NULL ELSE p.done_at END,
      tries = p.tries + excluded.tries;
  IF laid_before THEN
    DELETE FROM parts p USING unnest(p_sid, p_sat, p_parts, verdicts) i(sid, sat, laid, verdict)
      WHERE i.verdict = 'go' AND i.laid IS NOT NULL AND p.schedule_id = i.sid AND p.slot_at = i.sat AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi) AND p.ord >= jsonb_array_length(i.laid);
    UPDATE parts p SET state = 'sending', attempt_id = i.aid, sending_at = t, done_at = NULL, tries = p.tries + 1
      FROM unnest(p_sid, p_sat, p_ord, p_attempt, p_parts, verdicts) i(sid, sat, ord, aid, laid, verdict)
      WHERE i.verdict = 'go' AND i.laid IS NULL AND p.schedule_id = i.sid AND p.slot_at = i.sat AND p.ord = i.ord AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi);
  END IF;
  INSERT INTO attempts (attempt_id, schedule_id, slot_at, ord, fence, owner, dup_risk, sending_at, baseline)
    SELECT i.aid, i.sid, i.sat, i.ord, i.f, p_owner, i.risk, t, i.before
      FROM unnest(p_sid, p_sat, p_ord, p_attempt, fences, p_before, risks, verdicts) i(sid, sat, ord, aid, f, before, risk, verdict) WHERE i.verdict = 'go';
  UPDATE room_gate g SET free_at = t + i.hold, holder_schedule = i.sid, holder_slot = i.sat
    FROM unnest(p_sid, p_sat, p_hold, rooms_, verdicts) i(sid, sat, hold, room, verdict) WHERE i.verdict = 'go' AND g.room_ref = i.room;
  IF array_remove(devices_, NULL) <> '{}' THEN
    UPDATE device_gate g SET free_at = t + coalesce(i.own_hold, i.hold), holder_schedule = i.sid, holder_slot = i.sat
      FROM unnest(p_sid, p_sat, p_hold, p_device_hold, devices_, verdicts) i(sid, sat, hold, own_hold, device, verdict) WHERE i.verdict = 'go' AND g.device = i.device;
  END IF;
  IF 'device_busy' = ANY (verdicts) THEN   -- so that whoever frees the device finds who waits for it
    UPDATE slots s SET device = i.device FROM unnest(p_sid, p_sat, devices_, verdicts) i(sid, sat, device, verdict)
      WHERE i.verdict = 'device_busy' AND s.schedule_id = i.sid AND s.slot_at = i.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi) AND s.device IS DISTINCT FROM i.device;
  END IF;
  INSERT INTO room_quota AS q (room_ref, day, used) SELECT i.room, today, 1 FROM unnest(rooms_, fresh) i(room, fresh) WHERE i.fresh ORDER BY 1
    ON CONFLICT (room_ref, day) DO UPDATE SET used = q.used + 1;
  UPDATE slots s SET exposed = s.exposed + 1, spins = 0, fence = s.fence + 1, lease_until = greatest(s.lease_until, t + p_need), wait_reason = NULL,
      quota_day = CASE WHEN i.fresh THEN today ELSE s.quota_day END, provider_kind = coalesce(i.pkind, s.provider_kind), channel = i.channel, device = i.device,
      free_from = CASE WHEN s.started_at IS NULL THEN i.free_from ELSE s.free_from END
    FROM unnest(p_sid, p_sat, p_kind, devices_, channels_, fresh, free_froms, verdicts) i(sid, sat, pkind, device, channel, fresh, free_from, verdict)
    WHERE i.verdict = 'go' AND s.schedule_id = i.sid AND s.slot_at = i.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi);
  RETURN QUERY SELECT i.sid, i.sat, i.verdict, i.wait, CASE WHEN i.verdict = 'go' THEN i.f + 1 ELSE i.f END
    FROM unnest(p_sid, p_sat, verdicts, waits, fences) i(sid, sat, verdict, wait, f);
END $$;

-- evidence: what is known of an attempt; said by anyone at any time, never fenced, monotone (R4).
-- Verdicts: ok | same | superseded (a later attempt of the part exists) | conflict | no_attempt (the point of no return never
-- committed: nothing to say). `accepted` counts from any attempt: a part that arrived is never sent again. Outcomes not_sent,
-- rejected_retry and rejected_final prove that nothing reached the room: they take the exposure back, and with the last one
-- the quota unit. `p_wrote_ms`: from the point of no return to the first byte on the socket. `p_settling`: slot_settle follows at once, which notes when the slot started.
CREATE OR REPLACE FUNCTION part_evidence(p_sid bigint[], p_sat timestamptz[], p_ord smallint[], p_attempt uuid[], p_outcome text[], p_reason text[],
  p_mid text[], p_status int[], p_answer jsonb[], p_wrote_ms double precision[], p_settling boolean DEFAULT false)
RETURNS TABLE (sid bigint, sat timestamptz, ord smallint, verdict text) LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz; today date; verdicts text[]; changes int[]; freed boolean[]; rooms_ bigint[]; devices_ text[]; given_up boolean;
  lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  SELECT array_agg(o.room_ref), array_agg(o.device), bool_or(o.state <> 'leased') INTO rooms_, devices_, given_up
    FROM (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat) ORDER BY 1, 2) i
      CROSS JOIN LATERAL (SELECT o.room_ref, o.device, o.state FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat FOR UPDATE) o;
  PERFORM rooms_lock(rooms_);
  PERFORM devices_lock(devices_);
  t := ledger_now(); today := korean_day(t);

  SELECT array_agg(d.verdict ORDER BY d.n),
         array_agg(CASE WHEN d.verdict IN ('ok', 'superseded') THEN (d.outcome IN ('accepted', 'unknown'))::int - d.was::int ELSE 0 END ORDER BY d.n),
         array_agg(d.verdict = 'ok' AND d.outcome <> 'unknown' ORDER BY d.n)
    INTO verdicts, changes, freed
    FROM (SELECT i.n, i.outcome, a.exposed AS was, CASE WHEN a.attempt_id IS NULL THEN 'no_attempt'
             WHEN row_number() OVER (PARTITION BY i.aid ORDER BY (i.outcome = 'unknown'), i.n) > 1 THEN 'same'
             WHEN a.outcome = i.outcome THEN 'same'
             WHEN a.outcome IS NOT NULL AND i.outcome = 'unknown' THEN 'same'
             WHEN a.outcome IS NOT NULL AND a.outcome <> 'unknown' THEN 'conflict'
             WHEN p.attempt_id IS DISTINCT FROM i.aid THEN 'superseded' ELSE 'ok' END AS verdict
          FROM unnest(p_sid, p_sat, p_ord, p_attempt, p_outcome) WITH ORDINALITY AS i(sid, sat, ord, aid, outcome, n)
            LEFT JOIN LATERAL (SELECT o.attempt_id, o.outcome, o.exposed FROM attempts o WHERE o.slot_at = i.sat AND o.attempt_id = i.aid AND o.slot_at BETWEEN lo AND hi OFFSET 0) a ON true
            LEFT JOIN LATERAL (SELECT o.attempt_id FROM parts o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi AND o.ord = i.ord OFFSET 0) p ON true) d;

  IF verdicts && ARRAY['conflict', 'superseded'] THEN
  INSERT INTO incidents (at, kind, schedule_id, slot_at, detail)
    SELECT t, CASE i.verdict WHEN 'conflict' THEN 'evidence_conflict' ELSE 'dup_suspect' END, i.sid, i.sat, jsonb_build_object('attempt', i.aid, 'ord', i.ord, 'says', i.outcome)
      FROM unnest(p_sid, p_sat, p_ord, p_attempt, p_outcome, verdicts) i(sid, sat, ord, aid, outcome, verdict)
     WHERE i.verdict = 'conflict' OR (i.verdict = 'superseded' AND i.outcome = 'accepted' AND NOT EXISTS (SELECT 1 FROM slots s
             WHERE s.schedule_id = i.sid AND s.slot_at = i.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi) AND s.provider_kind = 'key'));   -- a key sent twice arrives once
  END IF;
  UPDATE attempts a SET outcome = i.outcome, reason = i.reason, exposed = i.outcome IN ('accepted', 'unknown'), ended_at = coalesce(a.ended_at, t), provider_msg_id = coalesce(i.mid, a.provider_msg_id),
      http_status = coalesce(i.status, a.http_status), answer = coalesce(i.answer, a.answer), wrote_at = coalesce(a.wrote_at, a.sending_at + make_interval(secs => i.wrote / 1000))
    FROM unnest(p_sat, p_attempt, p_outcome, p_reason, p_mid, p_status, p_answer, p_wrote_ms, verdicts) i(sat, aid, outcome, reason, mid, status, answer, wrote, verdict)
    WHERE i.verdict IN ('ok', 'superseded') AND a.slot_at = i.sat AND a.attempt_id = i.aid AND (a.slot_at BETWEEN lo AND hi OR a.slot_at = hi);
  UPDATE parts p SET done_at = t, provider_msg_id = coalesce(i.mid, p.provider_msg_id),
      tries = CASE WHEN i.outcome = 'not_sent' THEN greatest(p.tries - 1, 0) ELSE p.tries END,
      misses = CASE WHEN i.outcome = 'not_sent' THEN p.misses + 1 ELSE 0 END,
      refused = CASE WHEN i.outcome = 'accepted' THEN nullif(i.answer -> 'refused', '[]') END,   -- receivers who did not get it
      attempt_id = i.aid, state = CASE i.outcome WHEN 'accepted' THEN 'accepted' WHEN 'unknown' THEN 'unknown' WHEN 'rejected_final' THEN 'failed' ELSE 'pending' END
    FROM (SELECT DISTINCT ON (x.sid, x.sat, x.ord) x.* FROM unnest(p_sid, p_sat, p_ord, p_attempt, p_outcome, p_mid, p_answer, verdicts) x(sid, sat, ord, aid, outcome, mid, answer, verdict)
           WHERE x.verdict = 'ok' OR (x.verdict = 'superseded' AND x.outcome = 'accepted') ORDER BY x.sid, x.sat, x.ord, (x.outcome = 'accepted') DESC) i
    WHERE p.schedule_id = i.sid AND p.slot_at = i.sat AND p.ord = i.ord AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi)
      AND (p.state IN ('sending', 'unknown') OR (p.state IN ('pending', 'failed') AND i.outcome = 'accepted'));
  IF -1 = ANY (changes) THEN   -- a part is tainted only while one of its tries may have arrived
    UPDATE parts p SET tainted = false FROM unnest(p_sid, p_sat, p_ord, changes) i(sid, sat, ord, change)
      WHERE i.change < 0 AND p.schedule_id = i.sid AND p.slot_at = i.sat AND p.ord = i.ord AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi) AND p.tainted
        AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.schedule_id = i.sid AND a.slot_at = i.sat AND a.ord = i.ord AND a.exposed AND a.outcome = 'unknown');
  END IF;
  IF NOT p_settling OR given_up OR changes && ARRAY[-1, 1] THEN
    WITH e AS (SELECT i.sid, i.sat, sum(i.change) AS change, min(coalesce(a.wrote_at, a.sending_at)) FILTER (WHERE i.outcome <> 'not_sent') AS wrote,
                      bool_or(i.outcome <> 'unknown') AS news
                 FROM unnest(p_sid, p_sat, p_attempt, p_outcome, changes, verdicts) i(sid, sat, aid, outcome, change, verdict)
                   CROSS JOIN LATERAL (SELECT o.wrote_at, o.sending_at FROM attempts o WHERE o.slot_at = i.sat AND o.attempt_id = i.aid AND o.slot_at BETWEEN lo AND hi OFFSET 0) a
                WHERE i.verdict IN ('ok', 'superseded') GROUP BY 1, 2)
    UPDATE slots s SET exposed = s.exposed + e.change, started_at = coalesce(s.started_at, e.wrote),
        not_before = CASE WHEN s.state = 'waiting' AND s.phase = 'confirm' AND e.news THEN least(s.not_before, t) ELSE s.not_before END
      FROM e WHERE s.schedule_id = e.sid AND s.slot_at = e.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi);
  END IF;
  IF changes && ARRAY[-1, 1] THEN PERFORM quota_follows(p_sid, p_sat, today, lo, hi); END IF;
  IF given_up AND 'accepted' = ANY (p_outcome) THEN   -- what stood unresolved has arrived; what was to be tried again need not be
    UPDATE slots s SET state = CASE s.state WHEN 'unresolved' THEN 'delivered' ELSE s.state END,
        reason = CASE s.state WHEN 'unresolved' THEN 'late_evidence' ELSE s.reason END, cleared_at = CASE s.state WHEN 'unresolved' THEN coalesce(s.cleared_at, t) END,
        phase = 'confirm', not_before = least(s.not_before, t), republish_at = CASE s.state WHEN 'queued' THEN t END
      FROM (SELECT DISTINCT x.sid, x.sat FROM unnest(p_sid, p_sat, p_outcome, verdicts) x(sid, sat, outcome, verdict) WHERE x.outcome = 'accepted' AND x.verdict IN ('ok', 'superseded')) i
      WHERE s.schedule_id = i.sid AND s.slot_at = i.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi) AND (s.state = 'unresolved' OR (s.state IN ('waiting', 'queued') AND s.phase = 'send'))
        AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.schedule_id = s.schedule_id AND p.slot_at = s.slot_at AND p.state NOT IN ('accepted', 'delivered'));
    INSERT INTO incidents (at, kind, schedule_id, slot_at, detail)   -- a person's word stands, but it was wrong
      SELECT t, 'arrived_after_all', i.sid, i.sat, jsonb_build_object('attempt', i.aid, 'ord', i.ord, 'said', s.cleared_by)
        FROM unnest(p_sid, p_sat, p_ord, p_attempt, p_outcome, verdicts) i(sid, sat, ord, aid, outcome, verdict)
          CROSS JOIN LATERAL (SELECT o.* FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) s
       WHERE i.outcome = 'accepted' AND i.verdict IN ('ok', 'superseded') AND s.state = 'failed' AND s.reason = 'person_not_arrived';
  END IF;
  PERFORM gates_free(p_sid, p_sat, freed, array_remove(devices_, NULL) <> '{}', t, lo, hi);
  RETURN QUERY SELECT i.sid, i.sat, i.ord, i.verdict FROM unnest(p_sid, p_sat, p_ord, verdicts) i(sid, sat, ord, verdict);
END $$;

-- A slot holds a unit of its room's day quota exactly while something of it reached, or may have reached, the room. The caller holds the slots' locks.
CREATE OR REPLACE FUNCTION quota_follows(p_sid bigint[], p_sat timestamptz[], today date, lo timestamptz, hi timestamptz) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  PERFORM quotas_lock(array_agg(o.room_ref), array_agg(o.quota_day)) FROM unnest(p_sid, p_sat) i(sid, sat)
    CROSS JOIN LATERAL (SELECT o.room_ref, o.quota_day FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) o;
  WITH u AS (UPDATE slots s SET quota_day = CASE WHEN s.exposed > 0 THEN today END
      FROM (SELECT i.sid, i.sat, o.quota_day FROM (SELECT DISTINCT x.sid, x.sat FROM unnest(p_sid, p_sat) x(sid, sat)) i
              CROSS JOIN LATERAL (SELECT o.quota_day FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi AND o.room_ref IS NOT NULL AND (o.exposed > 0) = (o.quota_day IS NULL) OFFSET 0) o) i
      WHERE s.schedule_id = i.sid AND s.slot_at = i.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi)
      RETURNING s.room_ref, coalesce(i.quota_day, s.quota_day) AS day, CASE WHEN s.quota_day IS NULL THEN -1 ELSE 1 END AS change),
  x AS (SELECT u.room_ref, u.day, sum(u.change) AS change FROM u GROUP BY 1, 2),
  back AS (UPDATE room_quota q SET used = q.used + x.change FROM x WHERE x.change < 0 AND q.room_ref = x.room_ref AND q.day = x.day)
  INSERT INTO room_quota AS q (room_ref, day, used) SELECT x.room_ref, x.day, x.change FROM x WHERE x.change > 0 ORDER BY 1, 2
    ON CONFLICT (room_ref, day) DO UPDATE SET used = q.used + excluded.used;
END $$;

-- Free the room and the device of slots whose attempt is known to be over: the room `gap` after anything went out, at once if nothing did.
-- Waiters of the room are woken in order (priority, slot time, id), a gap apart, of the device the first one; busy ones are skipped, they look again by themselves.
CREATE OR REPLACE FUNCTION gates_free(p_sid bigint[], p_sat timestamptz[], p_freed boolean[], p_devices boolean, t timestamptz, lo timestamptz, hi timestamptz) RETURNS void
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE freed_rooms bigint[]; freed_at timestamptz[]; gaps int[]; freed_devices text[];
BEGIN
  IF p_devices THEN
    WITH f AS (UPDATE device_gate g SET free_at = t FROM (SELECT i.sid, i.sat, o.device FROM unnest(p_sid, p_sat, p_freed) i(sid, sat, freed)
        CROSS JOIN LATERAL (SELECT o.device FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi AND o.device IS NOT NULL OFFSET 0) o WHERE i.freed) i
      WHERE g.device = i.device AND g.holder_schedule = i.sid AND g.holder_slot = i.sat RETURNING g.device)
    SELECT array_agg(DISTINCT f.device) INTO freed_devices FROM f;
  END IF;
  IF freed_devices IS NOT NULL THEN   -- one at a time: the first in order. Whoever freed the device asks for it at once (device_next); the beat calls it if not.
    UPDATE slots s SET not_before = t + interval '50 ms'
      FROM (SELECT x.schedule_id, x.slot_at FROM unnest(freed_devices) d(device) CROSS JOIN LATERAL (SELECT y.schedule_id, y.slot_at FROM slots y
              WHERE y.device = d.device AND y.state IN ('waiting', 'queued', 'leased') AND y.wait_reason = 'device_busy' AND y.state = 'waiting' AND y.phase = 'send' AND y.not_before > t + interval '50 ms' AND y.finish_by > t
              ORDER BY y.priority, y.slot_at, y.schedule_id LIMIT 1 FOR UPDATE SKIP LOCKED) x) w
      WHERE s.schedule_id = w.schedule_id AND s.slot_at = w.slot_at;
  END IF;
  WITH f AS (UPDATE room_gate g SET free_at = t + CASE WHEN i.exposed > 0 THEN make_interval(secs => i.gap_ms / 1000.0) ELSE interval '0' END
    FROM (SELECT i.sid, i.sat, o.* FROM (SELECT DISTINCT i.sid, i.sat FROM unnest(p_sid, p_sat, p_freed) i(sid, sat, freed) WHERE i.freed) i
            CROSS JOIN LATERAL (SELECT o.room_ref, o.exposed, r.gap_ms FROM slots o JOIN rooms r ON r.id = o.room_ref WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) o) i
    WHERE g.room_ref = i.room_ref AND g.holder_schedule = i.sid AND g.holder_slot = i.sat RETURNING g.room_ref, g.free_at, i.gap_ms)
  SELECT array_agg(room_ref), array_agg(free_at), array_agg(gap_ms) INTO freed_rooms, freed_at, gaps FROM f;
  IF freed_rooms IS NULL THEN RETURN; END IF;
  UPDATE slots s SET not_before = least(s.not_before, w.at)
    FROM (SELECT x.schedule_id, x.slot_at, f.free_at + (row_number() OVER (PARTITION BY x.room_ref ORDER BY x.priority, x.slot_at, x.schedule_id) - 1) * make_interval(secs => f.gap / 1000.0) AS at
            FROM (SELECT y.schedule_id, y.slot_at, y.room_ref, y.priority FROM slots y WHERE y.room_ref = ANY (freed_rooms) AND y.state IN ('waiting', 'queued', 'leased')
                    AND y.wait_reason = 'room_busy' AND y.state = 'waiting' AND y.not_before > t FOR UPDATE SKIP LOCKED) x
              JOIN unnest(freed_rooms, freed_at, gaps) f(room, free_at, gap) ON f.room = x.room_ref) w
    WHERE s.schedule_id = w.schedule_id AND s.slot_at = w.slot_at AND w.at < s.not_before;
END $$;

-- Who of a room's receivers did not get a slot's message, and by which code of the provider.
CREATE OR REPLACE FUNCTION receivers_refused(p_sid bigint, p_sat timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT string_agg(DISTINCT format('%s (%s)', u.uuid, r ->> 'code'), ', ') FROM parts p CROSS JOIN LATERAL jsonb_array_elements(p.refused) r
    CROSS JOIN LATERAL jsonb_array_elements_text(r -> 'receivers') u(uuid) WHERE p.schedule_id = p_sid AND p.slot_at = p_sat AND p.refused IS NOT NULL $$;

-- settle: the worker gives slots up, fenced: back to the queue, to wait, or to a terminal state with its reason.
-- The parts decide what a terminal state may be, since evidence may have come in while the worker made up its mind: all accepted is
-- delivered, a part in doubt is unresolved, some accepted is partial; `delivered` with a part missing is not settled at all.
-- Answers what was settled; a slot that is missing was fenced: somebody else owns it now.
CREATE OR REPLACE FUNCTION slot_settle(p_sid bigint[], p_sat timestamptz[], p_fence bigint[], p_state text[], p_phase text[], p_delay_ms double precision[],
  p_reason text[], p_confirmed boolean[], p_owner uuid, p_locked boolean DEFAULT false)
RETURNS TABLE (sid bigint, sat timestamptz) LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz; lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  IF NOT p_locked THEN
    PERFORM 1 FROM (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat) ORDER BY 1, 2) i
      CROSS JOIN LATERAL (SELECT 1 FROM slots s WHERE s.schedule_id = i.sid AND s.slot_at = i.sat FOR UPDATE) s;
  END IF;
  -- The room may have been freed since it was found busy: the gate is locked, so that no wake-up falls between.
  IF p_reason && ARRAY['room_busy', 'device_busy'] THEN
    PERFORM 1 FROM (SELECT DISTINCT o.room_ref FROM unnest(p_sid, p_sat, p_reason) i(sid, sat, why) CROSS JOIN LATERAL (SELECT o.room_ref FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) o
        WHERE i.why = 'room_busy' ORDER BY 1) i CROSS JOIN LATERAL (SELECT 1 FROM room_gate g WHERE g.room_ref = i.room_ref FOR SHARE) g;
    PERFORM 1 FROM (SELECT DISTINCT o.device FROM unnest(p_sid, p_sat, p_reason) i(sid, sat, why) CROSS JOIN LATERAL (SELECT o.device FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi OFFSET 0) o
        WHERE i.why = 'device_busy' ORDER BY 1) i CROSS JOIN LATERAL (SELECT 1 FROM device_gate g WHERE g.device = i.device FOR SHARE) g;
  END IF;
  t := ledger_now();
  RETURN QUERY WITH d AS (SELECT x.*, ours.started_at, y.all_in, CASE WHEN x.state IN ('waiting', 'queued') OR (x.state = 'unresolved' AND x.reason = 'lookup_unavailable') THEN x.state
        WHEN ours.kind = 'tracking' THEN x.state   -- it has no parts: its job says what became of it
        WHEN y.all_in AND y.refused THEN 'partial' WHEN y.all_in THEN 'delivered' WHEN x.state = 'delivered' THEN NULL WHEN y.doubt THEN 'unresolved' WHEN y.some AND x.state <> 'unresolved' THEN 'partial' ELSE x.state END AS truth
      FROM unnest(p_sid, p_sat, p_fence, p_state, p_phase, p_delay_ms, p_reason, p_confirmed) x(sid, sat, f, state, phase, delay, reason, confirmed)
        CROSS JOIN LATERAL (SELECT o.kind, o.started_at FROM slots o WHERE o.schedule_id = x.sid AND o.slot_at = x.sat AND o.slot_at BETWEEN lo AND hi
            AND o.state || '' = 'leased' AND o.fence = x.f AND o.owner = p_owner OFFSET 0) ours
        CROSS JOIN LATERAL (SELECT coalesce(bool_and(p.state IN ('accepted', 'delivered')), false) AS all_in, coalesce(bool_or(p.state IN ('accepted', 'delivered')), false) AS some,
            coalesce(bool_or(p.refused IS NOT NULL), false) AS refused, coalesce(bool_or(p.state IN ('sending', 'unknown') OR (p.tainted AND p.state IN ('pending', 'failed'))), false) AS doubt
          FROM parts p WHERE p.schedule_id = x.sid AND p.slot_at = x.sat AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi)) y),
  i AS (SELECT d.sid, d.sat, d.f, d.started_at, d.truth AS state, d.phase, d.delay, d.confirmed, CASE WHEN d.all_in AND d.truth = 'partial' THEN 'receivers_refused: ' || receivers_refused(d.sid, d.sat)
      WHEN d.truth = 'delivered' AND d.state <> 'delivered' THEN 'late_evidence' ELSE d.reason END AS reason
      FROM d WHERE d.truth IS NOT NULL)
  UPDATE slots s SET state = i.state, phase = i.phase, owner = NULL, lease_until = NULL, spins = CASE WHEN i.state = 'queued' THEN greatest(s.spins - 1, 0) ELSE 0 END,
      not_before = CASE WHEN i.state <> 'waiting' THEN s.not_before
                        WHEN i.reason = 'room_busy' THEN least(t + make_interval(secs => i.delay / 1000), (SELECT greatest(g.free_at, t + interval '200 ms') FROM room_gate g WHERE g.room_ref = s.room_ref))
                        WHEN i.reason = 'device_busy' THEN least(t + make_interval(secs => i.delay / 1000), (SELECT greatest(g.free_at, t + interval '500 ms' + interval '50 ms' * device_line(s.device)) FROM device_gate g WHERE g.device = s.device))
                        ELSE t + make_interval(secs => i.delay / 1000) END,
      republish_at = CASE WHEN i.state = 'queued' THEN t + make_interval(secs => i.delay / 1000) END,
      wait_reason = CASE WHEN i.state IN ('waiting', 'queued') THEN i.reason ELSE s.wait_reason END,
      reason = CASE WHEN i.state IN ('waiting', 'queued') THEN NULL ELSE i.reason END,
      ended_at = CASE WHEN i.state IN ('waiting', 'queued') THEN NULL ELSE t END,
      confirmed_at = CASE WHEN i.confirmed THEN coalesce(s.confirmed_at, t) ELSE s.confirmed_at END,
      started_at = coalesce(i.started_at, (SELECT min(coalesce(a.wrote_at, a.sending_at)) FROM attempts a WHERE a.schedule_id = i.sid AND a.slot_at = i.sat AND a.slot_at BETWEEN lo AND hi
        AND a.outcome <> 'not_sent'))
    FROM i WHERE s.schedule_id = i.sid AND s.slot_at = i.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi)
    RETURNING s.schedule_id, s.slot_at;
END $$;

-- finish: evidence of a slot's last attempt, and with it the slot given up, in one transaction. The evidence stays whatever becomes of the rest.
CREATE OR REPLACE FUNCTION slot_finish(p_sid bigint[], p_sat timestamptz[], p_ord smallint[], p_attempt uuid[], p_outcome text[], p_why text[], p_mid text[], p_status int[],
  p_answer jsonb[], p_wrote_ms double precision[], p_fence bigint[], p_state text[], p_phase text[], p_delay_ms double precision[], p_reason text[], p_confirmed boolean[], p_owner uuid)
RETURNS TABLE (sid bigint, sat timestamptz, verdict text, settled boolean) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE verdicts text[]; done text[];
BEGIN
  SELECT array_agg(e.verdict ORDER BY e.n) INTO verdicts
    FROM part_evidence(p_sid, p_sat, p_ord, p_attempt, p_outcome, p_why, p_mid, p_status, p_answer, p_wrote_ms, true) WITH ORDINALITY e(sid, sat, ord, verdict, n);
  SELECT array_agg(z.sid || ' ' || z.sat) INTO done FROM slot_settle(p_sid, p_sat, p_fence, p_state, p_phase, p_delay_ms, p_reason, p_confirmed, p_owner, true) z;
  RETURN QUERY SELECT i.sid, i.sat, i.verdict, coalesce((i.sid || ' ' || i.sat) = ANY (done), false) FROM unnest(p_sid, p_sat, verdicts) i(sid, sat, verdict);
END $$;

-- resolve: a confirmer turns unknown (or, proven, accepted) parts back to pending, under its live lease. `p_wait` must have passed
-- since sending (settle; 0 for idempotent providers). proven: the provider itself says "not delivered", so nothing is tainted.
CREATE OR REPLACE FUNCTION part_resolve(p_sid bigint[], p_sat timestamptz[], p_ord smallint[], p_attempt uuid[], p_fence bigint[], p_wait interval[], p_proven boolean[], p_owner uuid)
RETURNS TABLE (sid bigint, sat timestamptz, ord smallint) LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz; lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
  sids bigint[]; sats timestamptz[]; ords smallint[]; provens uuid[];
BEGIN
  PERFORM 1 FROM (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat) ORDER BY 1, 2) i
    CROSS JOIN LATERAL (SELECT 1 FROM slots s WHERE s.schedule_id = i.sid AND s.slot_at = i.sat FOR UPDATE) s;
  t := ledger_now();
  WITH r AS (UPDATE parts p SET state = 'pending', tainted = p.tainted OR NOT i.proven, done_at = coalesce(p.done_at, t)
    FROM (SELECT i.* FROM unnest(p_sid, p_sat, p_ord, p_attempt, p_fence, p_wait, p_proven) i(sid, sat, ord, aid, f, wait, proven)
            CROSS JOIN LATERAL (SELECT 1 FROM slots o WHERE o.schedule_id = i.sid AND o.slot_at = i.sat AND o.slot_at BETWEEN lo AND hi
              AND o.state || '' = 'leased' AND o.phase = 'confirm' AND o.fence = i.f AND o.owner = p_owner AND o.lease_until + interval '0' > t OFFSET 0) o) i
    WHERE p.schedule_id = i.sid AND p.slot_at = i.sat AND p.ord = i.ord AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi) AND p.attempt_id = i.aid
      AND (p.state = 'unknown' OR (i.proven AND p.state = 'accepted')) AND (i.wait = interval '0' OR settling_from(p.sending_at, t) + i.wait <= t)
    RETURNING p.schedule_id, p.slot_at, p.ord, CASE WHEN i.proven THEN p.attempt_id END AS aid)
  SELECT array_agg(schedule_id), array_agg(slot_at), array_agg(r.ord), array_agg(aid) INTO sids, sats, ords, provens FROM r;
  WITH a AS (UPDATE attempts a SET exposed = false FROM unnest(sids, sats, provens) i(sid, sat, aid)
      WHERE i.aid IS NOT NULL AND a.slot_at = i.sat AND a.attempt_id = i.aid AND (a.slot_at BETWEEN lo AND hi OR a.slot_at = hi) AND a.exposed RETURNING a.schedule_id, a.slot_at),
  e AS (SELECT a.schedule_id AS sid, a.slot_at AS sat, count(*) AS back FROM a GROUP BY 1, 2)
  UPDATE slots s SET exposed = s.exposed - e.back FROM e WHERE s.schedule_id = e.sid AND s.slot_at = e.sat AND (s.slot_at BETWEEN lo AND hi OR s.slot_at = hi);
  PERFORM quota_follows(sids, sats, korean_day(t), lo, hi) WHERE array_remove(provens, NULL) <> '{}';
  RETURN QUERY SELECT i.sid, i.sat, i.ord FROM unnest(sids, sats, ords) i(sid, sat, ord);
END $$;

-- confirmed: the provider says that an accepted part was delivered.
CREATE OR REPLACE FUNCTION part_confirmed(p_sid bigint[], p_sat timestamptz[], p_ord smallint[], p_attempt uuid[]) RETURNS int
LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off SET cpu_index_tuple_cost = 10 SET plan_cache_mode = force_generic_plan AS $$
DECLARE n int; lo timestamptz := (SELECT min(x) FROM unnest(p_sat) x); hi timestamptz := (SELECT max(x) FROM unnest(p_sat) x);
BEGIN
  PERFORM 1 FROM (SELECT DISTINCT u.sid, u.sat FROM unnest(p_sid, p_sat) u(sid, sat) ORDER BY 1, 2) i
    CROSS JOIN LATERAL (SELECT 1 FROM slots s WHERE s.schedule_id = i.sid AND s.slot_at = i.sat FOR UPDATE) s;
  UPDATE parts p SET state = 'delivered', confirmed_at = ledger_now() FROM (SELECT * FROM unnest(p_sid, p_sat, p_ord, p_attempt) i(sid, sat, ord, aid)) i
    WHERE p.schedule_id = i.sid AND p.slot_at = i.sat AND p.ord = i.ord AND (p.slot_at BETWEEN lo AND hi OR p.slot_at = hi) AND p.attempt_id = i.aid AND p.state = 'accepted';
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- take: a worker that lost Redis claims queued slots straight from the ledger; the lease that follows decides.
CREATE OR REPLACE FUNCTION slot_poll(p_queue text, p_limit int) RETURNS TABLE (sid bigint, sat timestamptz) LANGUAGE sql AS $$
  SELECT schedule_id, slot_at FROM slots WHERE state = 'queued' AND slot_queue(kind, phase) = p_queue AND not_before <= (SELECT ledger_now()) AND NOT ledger_held()
   ORDER BY finish_by, priority, slot_at, schedule_id LIMIT p_limit FOR UPDATE SKIP LOCKED $$;

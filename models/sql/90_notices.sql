-- Notices to operators. The tables are the outbox: a notice that is committed is delivered at least once to every target that stood then.

CREATE OR REPLACE FUNCTION notice_rank(p_severity text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(array_position(ARRAY['info', 'warning', 'error', 'critical'], p_severity), 0) $$;

-- Tell something. While a notice of the same (kind, key) is open it only raises that one's counter; a standing condition does not count, and a
-- mark at or before the newest one counted is old news (one in the future is from before the clock went back, and void). A graver word than the open one's is told at once. `fresh`: something will be sent.
CREATE OR REPLACE FUNCTION notice_post(p_kind text, p_key text, p_severity text, p_title text, p_body text, p_link text, p_organisation bigint, p_source text,
  p_dedupe interval, p_mark timestamptz, p_standing boolean, p_count int) RETURNS TABLE (id bigint, fresh boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE t timestamptz; held notices%ROWTYPE; made bigint;
BEGIN
  IF p_kind IS NULL OR p_title IS NULL OR notice_rank(p_severity) = 0 THEN RETURN; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('jeongsi.notice'), hashtext(p_kind || ' ' || p_key));
  t := ledger_now();
  SELECT * INTO held FROM notices n WHERE n.kind = p_kind AND n.key = p_key ORDER BY n.id DESC LIMIT 1;
  IF held.mark > t + interval '1 min' THEN held.mark := NULL; END IF;
  IF held.mark >= p_mark THEN RETURN QUERY SELECT held.id, false; RETURN; END IF;
  IF held.open AND held.open_until > t AND notice_rank(p_severity) <= notice_rank(held.severity) THEN
    UPDATE notices n SET more = n.more + CASE WHEN p_standing THEN 0 ELSE p_count END, last_at = t, mark = greatest(held.mark, p_mark), title = p_title, body = p_body, link = p_link
     WHERE n.id = held.id;
    RETURN QUERY SELECT held.id, false; RETURN;
  END IF;
  IF held.open THEN UPDATE notices n SET open = false WHERE n.id = held.id; END IF;
  INSERT INTO notices (kind, key, severity, title, body, link, organisation_id, source, first_at, made_at, last_at, told, repeats, mark, standing, open_until, dedupe)
    VALUES (p_kind, p_key, p_severity, p_title, p_body, p_link, p_organisation, p_source,
            CASE WHEN held.open THEN held.first_at ELSE t END, t, t, p_count + CASE WHEN held.open THEN held.more ELSE 0 END,
            CASE WHEN held.open THEN held.repeats + 1 ELSE 0 END, p_mark, p_standing, t + p_dedupe, p_dedupe)
    RETURNING notices.id INTO made;
  PERFORM notice_fan_out(made);
  RETURN QUERY SELECT made, true;
END $$;

-- A delivery for every target that wants this notice.
CREATE OR REPLACE FUNCTION notice_fan_out(p_notice bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
  INSERT INTO notice_deliveries (notice_id, target_id, not_before)
    SELECT x.id, g.id, x.made_at FROM notices x JOIN notice_targets g ON g.enabled
     WHERE x.id = p_notice AND notice_rank(x.severity) >= notice_rank(g.min_severity)
       AND (g.organisation_id IS NULL OR g.organisation_id = x.organisation_id)
       AND (g.kinds IS NULL OR EXISTS (SELECT 1 FROM unnest(g.kinds) k WHERE x.kind = k OR x.kind LIKE k || '.%'))
     ORDER BY g.id ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- Windows that are over. What came meanwhile, or still stands, is told in one more notice; else the next happening is news again.
CREATE OR REPLACE FUNCTION notice_sweep(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE r notices%ROWTYPE; made bigint; n int := 0; t timestamptz := ledger_now();
BEGIN
  FOR r IN SELECT * FROM notices WHERE open AND open_until <= t ORDER BY open_until LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
    UPDATE notices SET open = false WHERE id = r.id;
    IF r.more > 0 OR r.standing THEN
      INSERT INTO notices (kind, key, severity, title, body, link, organisation_id, source, first_at, made_at, last_at, told, repeats, mark, standing, open_until, dedupe)
        VALUES (r.kind, r.key, r.severity, r.title, r.body, r.link, r.organisation_id, r.source, r.first_at, t, r.last_at, greatest(r.more, 1), r.repeats + 1, r.mark, r.standing, t + r.dedupe, r.dedupe)
        RETURNING id INTO made;
      PERFORM notice_fan_out(made);
      n := n + 1;
    END IF;
  END LOOP;
  RETURN n;
END $$;

-- Standing conditions that were not seen for p_quiet: closed. Answers what is over, so that it can be told.
CREATE OR REPLACE FUNCTION notice_over(p_quiet interval) RETURNS TABLE (kind text, key text, title text, first_at timestamptz, last_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY UPDATE notices n SET open = false WHERE n.open AND n.standing AND n.last_at < ledger_now() - p_quiet
    RETURNING n.kind, n.key, n.title, n.first_at, n.last_at;
END $$;

-- One delivery for each target that may be written to now, leased to p_owner. Without a token only what is critical goes; what had to wait is
-- named in one line by the next that goes (`held`, newest first), and is not sent itself.
CREATE OR REPLACE FUNCTION notice_take(p_owner uuid, p_lease interval, p_busy bigint[], p_limit int) RETURNS TABLE (notice_id bigint, target_id bigint, target text, service text,
  address bytea, fingerprint text, tries int, severity text, kind text, title text, body text, link text, told int, repeats int, standing boolean, first_at timestamptz, made_at timestamptz,
  held_count int, held text[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now(); g notice_targets%ROWTYPE; d record; level double precision; taken int := 0; named text[]; number int;
BEGIN
  FOR g IN SELECT * FROM notice_targets x WHERE x.enabled AND x.not_before <= t AND NOT x.id = ANY (p_busy)
      AND EXISTS (SELECT 1 FROM notice_deliveries q WHERE q.target_id = x.id AND q.state IN ('pending', 'sending'))
      AND NOT EXISTS (SELECT 1 FROM notice_deliveries q WHERE q.target_id = x.id AND q.state IN ('pending', 'sending') AND q.state = 'sending' AND q.lease_until > t)
      ORDER BY x.id FOR NO KEY UPDATE OF x SKIP LOCKED LOOP
    EXIT WHEN taken >= p_limit;
    SELECT q.notice_id, q.tries, n.severity, n.kind, n.title, n.body, n.link, n.told, n.repeats, n.standing, n.first_at, n.made_at INTO d
      FROM notice_deliveries q JOIN notices n ON n.id = q.notice_id
     WHERE q.target_id = g.id AND q.state IN ('pending', 'sending') AND q.not_before <= t ORDER BY (n.severity = 'critical') DESC, q.notice_id LIMIT 1;
    CONTINUE WHEN NOT FOUND;
    level := least(g.burst, g.tokens + extract(epoch FROM t - g.tokens_at) * g.per_hour / 3600);
    IF level < 1 AND d.severity <> 'critical' THEN
      UPDATE notice_deliveries q SET waits = true WHERE q.target_id = g.id AND q.state = 'pending' AND NOT q.waits AND q.not_before <= t;
      CONTINUE;
    END IF;
    named := '{}'; number := 0;
    IF level >= 1 THEN
      WITH h AS (UPDATE notice_deliveries q SET state = 'held', carried_by = d.notice_id WHERE q.target_id = g.id AND q.state = 'pending' AND q.waits AND q.notice_id <> d.notice_id
                   AND q.not_before <= t RETURNING q.notice_id)
      SELECT count(*), coalesce((array_agg(n.title ORDER BY n.id DESC))[1:5], '{}') INTO number, named FROM h JOIN notices n ON n.id = h.notice_id;
    END IF;
    UPDATE notice_targets x SET tokens = greatest(level - 1, 0), tokens_at = t WHERE x.id = g.id;
    UPDATE notice_deliveries q SET state = 'sending', owner = p_owner, lease_until = t + p_lease, tries = q.tries + 1 WHERE q.notice_id = d.notice_id AND q.target_id = g.id;
    taken := taken + 1;
    RETURN QUERY SELECT d.notice_id, g.id, g.name::text, g.service, g.address, g.fingerprint, d.tries + 1, d.severity, d.kind, d.title, d.body, d.link, d.told, d.repeats, d.standing,
      d.first_at, d.made_at, number, named;
  END LOOP;
END $$;

-- What came of a delivery. p_what: sent | later (the target asked for time) | failed (again by the ladder, given up after p_keep) | refused (this notice
-- for good) | gone (the target for good: it is switched off). Answers whether the target is off now. Only the leaseholder is believed.
CREATE OR REPLACE FUNCTION notice_done(p_notice bigint, p_target bigint, p_owner uuid, p_what text, p_wait interval, p_error text, p_answer jsonb, p_message_id text,
  p_off_after int, p_keep interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); mine boolean; off boolean := false; made timestamptz;
BEGIN
  PERFORM 1 FROM notice_targets g WHERE g.id = p_target FOR NO KEY UPDATE;   -- the target first, as notice_take does
  SELECT true, n.made_at INTO mine, made FROM notice_deliveries q JOIN notices n ON n.id = q.notice_id
   WHERE q.notice_id = p_notice AND q.target_id = p_target AND q.state = 'sending' AND q.owner = p_owner FOR UPDATE OF q;
  IF mine IS NOT TRUE THEN RETURN false; END IF;
  UPDATE notice_deliveries q SET owner = NULL, lease_until = NULL, answer = p_answer, error = p_error, provider_msg_id = p_message_id,
      state = CASE WHEN p_what = 'sent' THEN 'sent' WHEN p_what IN ('refused', 'gone') OR (p_what = 'failed' AND made < t - p_keep) THEN 'failed' ELSE 'pending' END,
      sent_at = CASE WHEN p_what = 'sent' THEN t END, not_before = CASE WHEN p_what IN ('later', 'failed') THEN t + p_wait ELSE q.not_before END
   WHERE q.notice_id = p_notice AND q.target_id = p_target;
  UPDATE notice_targets g SET last_error = CASE WHEN p_what = 'sent' THEN NULL ELSE p_error END, last_sent_at = CASE WHEN p_what = 'sent' THEN t ELSE g.last_sent_at END,
      failures = CASE WHEN p_what = 'sent' THEN 0 WHEN p_what = 'later' THEN g.failures ELSE g.failures + 1 END,
      not_before = CASE WHEN p_what IN ('later', 'failed') THEN greatest(g.not_before, t + p_wait) ELSE g.not_before END,
      enabled = g.enabled AND p_what <> 'gone' AND (p_what NOT IN ('failed', 'refused') OR p_off_after = 0 OR g.failures + 1 < p_off_after)
   WHERE g.id = p_target RETURNING NOT g.enabled INTO off;
  IF off THEN
    UPDATE notice_targets g SET disabled_reason = coalesce(g.disabled_reason, p_error), disabled_at = coalesce(g.disabled_at, t) WHERE g.id = p_target;
    UPDATE notice_deliveries q SET state = 'failed', error = 'target_off' WHERE q.target_id = p_target AND q.state = 'pending';
  END IF;
  RETURN off;
END $$;

-- Active schedules whose last p_streak ends were all failures, among those that failed since p_since. Only ends after the schedule's last edit
-- count, so that a person's `resume` begins anew. p_states: which ends are failures.
CREATE OR REPLACE FUNCTION failing_schedules(p_since timestamptz, p_streak int, p_states text[]) RETURNS TABLE (schedule_id bigint, title text, room text, channel text, failures bigint,
  last_at timestamptz, last_slot text, reason text) LANGUAGE plpgsql STABLE SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH lately AS MATERIALIZED (SELECT DISTINCT s.schedule_id FROM slots s WHERE s.ended_at > p_since AND s.state IN ('failed', 'expired', 'partial', 'unresolved') AND s.state = ANY (p_states))
  SELECT l.schedule_id, k.title::text, coalesce(r.name, k.target_room_id)::text, r.channel, e.bad, e.last_at, e.last_slot, e.reason
    FROM lately l JOIN kb_schedule k ON k.id = l.schedule_id AND k.status = 'active' AND k.deleted_at IS NULL
      JOIN schedule_clock c ON c.schedule_id = l.schedule_id LEFT JOIN rooms r ON r.room_id = k.target_room_id
      CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.state = ANY (p_states)) AS bad, max(x.ended_at) AS last_at,
            (array_agg(slot_public_id(x.schedule_id, x.slot_at) ORDER BY x.slot_at DESC))[1] AS last_slot, (array_agg(x.reason ORDER BY x.slot_at DESC))[1] AS reason
          FROM (SELECT s.schedule_id, s.slot_at, s.state, s.reason, s.ended_at FROM slots s
                 WHERE s.schedule_id = l.schedule_id AND s.slot_at > c.version_from AND s.state IN ('delivered', 'partial', 'failed', 'expired', 'unresolved')
                   AND s.reason IS DISTINCT FROM 'scheduler_down'
                 ORDER BY s.slot_at DESC LIMIT p_streak) x) e
   WHERE e.bad = p_streak;
END $$;

-- Ruling 18: after p_after final failures in a row a schedule stops with the reason; a person resumes it. What is laid down ahead is cancelled by
-- the schedule's own trigger. `expired` never counts: a bot that is down must not stop every schedule. Answers what was stopped.
CREATE OR REPLACE FUNCTION stop_failing(p_since timestamptz, p_after int) RETURNS TABLE (schedule_id bigint, title text, room text, failures bigint, last_at timestamptz, last_slot text, reason text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF p_after < 1 THEN RETURN; END IF;
  RETURN QUERY
  WITH f AS MATERIALIZED (SELECT * FROM failing_schedules(p_since, p_after, ARRAY['failed'])),
  k AS (SELECT k.id FROM kb_schedule k WHERE k.id IN (SELECT f.schedule_id FROM f) AND k.status = 'active' ORDER BY k.id FOR UPDATE SKIP LOCKED),
  u AS (UPDATE kb_schedule s SET status = 'error', error_reason = format('%s sends in a row failed for good, last: %s', f.failures, f.reason)
          FROM f JOIN k ON k.id = f.schedule_id WHERE s.id = k.id RETURNING s.id)
  SELECT f.schedule_id, f.title, f.room, f.failures, f.last_at, f.last_slot, f.reason FROM f JOIN u ON u.id = f.schedule_id;
END $$;

-- Ends that a person should know of, one row a state: how many, the newest ids, why.
CREATE OR REPLACE FUNCTION trouble_since(p_since timestamptz, p_upto timestamptz) RETURNS TABLE (state text, slots bigint, ids text[], reasons text[], last_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT x.state, count(*), (array_agg(slot_public_id(x.schedule_id, x.slot_at) ORDER BY x.ended_at DESC, x.slot_at DESC))[1:10], (array_agg(DISTINCT x.reason))[1:5], max(x.ended_at)
    FROM slots x WHERE x.ended_at > p_since AND x.ended_at <= p_upto AND x.state IN ('failed', 'expired', 'partial', 'unresolved') AND x.kind = 'message'
   GROUP BY x.state $$;

-- Uploads of tracking numbers whose run could not begin in time, as trouble_since. How a run ended is told by itself.
CREATE OR REPLACE FUNCTION uploads_expired(p_since timestamptz, p_upto timestamptz) RETURNS TABLE (state text, slots bigint, ids text[], reasons text[], last_at timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT 'expired', count(*), (array_agg(slot_public_id(x.schedule_id, x.slot_at) ORDER BY x.ended_at DESC, x.slot_at DESC))[1:10], (array_agg(DISTINCT x.reason))[1:5], max(x.ended_at)
    FROM slots x WHERE x.ended_at > p_since AND x.ended_at <= p_upto AND x.state = 'expired' AND x.kind = 'tracking' HAVING count(*) > 0 $$;

-- Uploads that are queued and that nobody takes: how many, and for how long the oldest.
CREATE OR REPLACE FUNCTION uploads_waiting(p_late interval) RETURNS TABLE (queued bigint, queued_s double precision) LANGUAGE sql STABLE AS $$
  SELECT count(*), extract(epoch FROM ledger_now() - min(x.not_before)) FROM (SELECT s.not_before FROM slots s
    WHERE s.state = 'queued' AND s.kind = 'tracking' AND s.not_before < ledger_now() - p_late LIMIT 1000) x $$;

-- Where the installation stands: one round trip of index probes, whatever the number of schedules.
CREATE OR REPLACE FUNCTION progress_now(p_late interval) RETURNS TABLE (at timestamptz, ticked_s double precision, undispatched_s double precision, queued bigint, queued_s double precision,
  confirming bigint, confirming_s double precision) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  at := ledger_now();
  ticked_s := extract(epoch FROM at - (SELECT max(last_tick_at) FROM beat_pulse));
  undispatched_s := extract(epoch FROM at - (SELECT min(not_before) FROM slots WHERE state IN ('planned', 'waiting')));
  -- At most a thousand of each: more than enough to say that nobody takes them.
  SELECT count(*), extract(epoch FROM at - min(x.not_before)) INTO queued, queued_s FROM (SELECT s.not_before FROM slots s WHERE s.state = 'queued' AND s.kind = 'message' AND s.phase = 'send' AND s.not_before < at - p_late LIMIT 1000) x;
  SELECT count(*), extract(epoch FROM at - min(x.not_before)) INTO confirming, confirming_s FROM (SELECT s.not_before FROM slots s WHERE s.state = 'queued' AND s.kind = 'message' AND s.phase = 'confirm' AND s.not_before < at - p_late LIMIT 1000) x;
  RETURN NEXT;
END $$;

-- Channels to which nothing can be written: messages past their time wait because not a byte would leave.
CREATE OR REPLACE FUNCTION silent_channels(p_late interval) RETURNS TABLE (channel text, waiting bigint, since timestamptz, slot text) LANGUAGE plpgsql STABLE
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now();
BEGIN
  RETURN QUERY SELECT r.channel, count(*), min(s.slot_at), min(slot_public_id(s.schedule_id, s.slot_at)) FROM slots s JOIN rooms r ON r.id = s.room_ref
   WHERE s.state IN ('planned', 'waiting') AND s.not_before <= t + interval '15 s' AND s.state = 'waiting' AND s.wait_reason = 'not_sent' AND s.slot_at < t - p_late GROUP BY r.channel;
END $$;

-- Old notices and their keys, in bites. A notice that is still open stays.
CREATE OR REPLACE FUNCTION notice_prune(p_keep interval, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); n int;
BEGIN
  DELETE FROM notices WHERE id IN (SELECT x.id FROM notices x WHERE x.made_at < t - p_keep AND NOT x.open ORDER BY x.made_at LIMIT p_limit);
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM notice_requests WHERE idempotency_key IN (SELECT q.idempotency_key FROM notice_requests q WHERE q.at < t - p_keep ORDER BY q.at LIMIT p_limit);
  RETURN n;
END $$;

-- The run of an upload. A job lays its orders down as details; a worker takes a chunk of them under a lease, looks what PlayAuto has of them, and does for each what is
-- still missing. A chunk's id is its fence. Whoever lost its chunk changes nothing any more: the orders go to another chunk, which looks first, so no evidence is lost by that.
-- Every command takes a set. Locks in this order: slot, job, chunk, details by id, orders by id; a job's counts are the last write of a transaction that ends orders.

-- A tracking number as the API takes it, for comparisons; `models.tracking.numbers.normalise` in Python.
CREATE OR REPLACE FUNCTION tracking_plain(number text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT upper(regexp_replace(normalize(number, NFKC), '[^0-9A-Za-z]', '', 'g')) $$;

-- The run that an account is in: its own, one of an account of this name before it, or one of another account that uses the settings' login as it does. PlayAuto sees one seller then, and
-- two runs of one seller would pass a parcel on twice. Call it with the lock on openings held.
CREATE OR REPLACE FUNCTION tracking_live_run(s tracking_upload_scheduler) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT j.id FROM tracking_upload_jobs j JOIN tracking_upload_scheduler k ON k.id = j.scheduler_id
   WHERE j.status IN ('pending', 'running') AND NOT j.dry_run AND (k.id = s.id OR j.options ->> 'account' = s.account OR (k.credentials IS NULL AND s.credentials IS NULL)) LIMIT 1 $$;

-- How an account uploads, as it was when the run began.
CREATE OR REPLACE FUNCTION tracking_options(s tracking_upload_scheduler) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('account', s.account, 'instruct', s.instruct, 'send_to_shop', s.send_to_shop, 'change_complete', s.change_complete, 'overwrite', s.overwrite,
    'number_policy', s.number_policy, 'batch_size', s.batch_size, 'retry_count', s.retry_count) $$;

-- A run by hand, or a redrive. Verdicts: started | duplicate (same key, same body) | key_used (same key, another body) | active (`job` runs) | no_account | held.
CREATE OR REPLACE FUNCTION tracking_open(p_account text, p_key text, p_digest text, p_who text, p_dry boolean, p_from bigint, p_options jsonb)
RETURNS TABLE (verdict text, job bigint) LANGUAGE plpgsql AS $$
DECLARE s tracking_upload_scheduler; j tracking_upload_jobs; t timestamptz; made bigint; live bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('jeongsi.tracking_open'));
  SELECT * INTO s FROM tracking_upload_scheduler x WHERE x.account = p_account AND x.deleted_at IS NULL;
  IF s.id IS NULL THEN RETURN QUERY SELECT 'no_account', NULL::bigint; RETURN; END IF;
  IF ledger_held() THEN RETURN QUERY SELECT 'held', NULL::bigint; RETURN; END IF;
  t := ledger_now();
  SELECT * INTO j FROM tracking_upload_jobs x WHERE x.idem_key = p_key;
  IF j.id IS NOT NULL THEN RETURN QUERY SELECT CASE WHEN j.options ->> 'digest' = p_digest THEN 'duplicate' ELSE 'key_used' END, j.id; RETURN; END IF;
  live := tracking_live_run(s);
  IF live IS NOT NULL AND NOT p_dry THEN RETURN QUERY SELECT 'active', live; RETURN; END IF;
  INSERT INTO tracking_upload_jobs (scheduler_id, job_type, status, started_at, created_at, idem_key, requested_by, dry_run, redrive_of, options)
    VALUES (s.id, 'manual', 'running', t, t, p_key, p_who, p_dry, p_from, tracking_options(s) || p_options || jsonb_build_object('digest', p_digest)) RETURNING id INTO made;
  PERFORM pg_notify('jeongsi_tracking', '');
  RETURN QUERY SELECT 'started', made;
END $$;

-- The slot of a run: it stays leased while the run runs, so that beats take it back and tell of it again if every worker is gone. `exposed` keeps edits from calling it off.
CREATE OR REPLACE FUNCTION tracking_slot_hold(p_sid bigint, p_sat timestamptz, p_owner uuid, p_ttl interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now();
BEGIN
  UPDATE slots SET state = 'leased', owner = p_owner, lease_until = t + p_ttl, fence = fence + 1, spins = 0, phase = 'confirm', exposed = 1, republish_at = NULL,
      wait_reason = NULL, admitted_at = coalesce(admitted_at, t), started_at = coalesce(started_at, t)
   WHERE schedule_id = p_sid AND slot_at = p_sat AND state = 'queued';
END $$;

-- The run of a slot. Verdicts: started | resumed (`job` runs, the slot is held again) | running (somebody holds it) | active (another run of the account: `job`) | early | over | gone | held.
CREATE OR REPLACE FUNCTION tracking_open_slot(p_sid bigint, p_sat timestamptz, p_owner uuid, p_ttl interval)
RETURNS TABLE (verdict text, job bigint, wait_ms double precision) LANGUAGE plpgsql AS $$
DECLARE s slots; k tracking_upload_scheduler; j tracking_upload_jobs; t timestamptz; made bigint; live bigint; name text := slot_public_id(p_sid, p_sat);
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('jeongsi.tracking_open'));
  SELECT * INTO s FROM slots x WHERE x.schedule_id = p_sid AND x.slot_at = p_sat FOR UPDATE;
  t := ledger_now();
  SELECT * INTO j FROM tracking_upload_jobs x WHERE x.slot_id = name;
  IF s.id IS NULL OR s.kind <> 'tracking' THEN RETURN QUERY SELECT 'gone', j.id, 0.0::float8; RETURN; END IF;
  IF s.ended_at IS NOT NULL THEN RETURN QUERY SELECT 'over', j.id, 0.0::float8; RETURN; END IF;
  IF ledger_held() THEN RETURN QUERY SELECT 'held', j.id, 0.0::float8; RETURN; END IF;
  IF s.state = 'leased' THEN RETURN QUERY SELECT 'running', j.id, 0.0::float8; RETURN; END IF;
  IF s.state <> 'queued' OR s.not_before > t THEN
    RETURN QUERY SELECT 'early', j.id, greatest(0, extract(epoch FROM s.not_before - t)::float8 * 1000); RETURN; END IF;
  IF j.id IS NOT NULL THEN
    PERFORM tracking_slot_hold(p_sid, p_sat, p_owner, p_ttl);
    IF j.completed_at IS NOT NULL THEN PERFORM tracking_slot_end(j); RETURN QUERY SELECT 'over', j.id, 0.0::float8; RETURN; END IF;
    RETURN QUERY SELECT 'resumed', j.id, 0.0::float8; RETURN;
  END IF;
  IF s.cancel_requested OR s.finish_by < t OR (s.admitted_at IS NULL AND s.start_by < t) THEN RETURN QUERY SELECT 'over', NULL::bigint, 0.0::float8; RETURN; END IF;
  SELECT * INTO k FROM tracking_upload_scheduler x WHERE x.id = p_sid;
  live := tracking_live_run(k);
  IF live IS NOT NULL THEN RETURN QUERY SELECT 'active', live, 0.0::float8; RETURN; END IF;   -- the slot stays queued and is told of again, until its own time is over
  INSERT INTO tracking_upload_jobs (scheduler_id, job_type, status, started_at, created_at, slot_id, requested_by, options)
    VALUES (p_sid, 'scheduled', 'running', t, t, name, 'schedule', tracking_options(k)) RETURNING id INTO made;
  PERFORM tracking_slot_hold(p_sid, p_sat, p_owner, p_ttl);
  RETURN QUERY SELECT 'started', made, 0.0::float8;
END $$;

-- The slot ends as its run did.
CREATE OR REPLACE FUNCTION tracking_slot_end(j tracking_upload_jobs) RETURNS void LANGUAGE plpgsql AS $$
DECLARE sid bigint := split_part(j.slot_id, '-', 1)::bigint; sat timestamptz := to_timestamp(split_part(j.slot_id, '-', 2)::bigint / 1000.0); t timestamptz := ledger_now();
BEGIN
  IF j.slot_id IS NULL THEN RETURN; END IF;
  UPDATE slots SET state = 'leased', owner = gen_random_uuid(), lease_until = t, fence = fence + 1, republish_at = NULL WHERE schedule_id = sid AND slot_at = sat AND state = 'queued';
  UPDATE slots SET owner = NULL, lease_until = NULL, fence = fence + 1, ended_at = t, confirmed_at = CASE WHEN j.status = 'completed' THEN t END,
      state = CASE WHEN j.reason = 'cancelled' THEN 'cancelled' WHEN j.reason = 'nothing_pending' THEN 'skipped' WHEN j.success_count = 0 AND j.status = 'failed' THEN 'failed'
                   WHEN j.failed_count > 0 OR j.status = 'failed' THEN 'partial' ELSE 'delivered' END,
      reason = j.reason
   WHERE schedule_id = sid AND slot_at = sat AND state = 'leased';
END $$;

-- Lay the next p_limit orders of a job down. A redrive takes them from the job that it takes up again. Verdicts: more | filled | over (or somebody else is at it).
-- What an earlier run may have passed on to the shop is carried over (`sends`), so that no run passes it on a third time.
CREATE OR REPLACE FUNCTION tracking_fill(p_job bigint, p_limit int) RETURNS TABLE (verdict text, laid int) LANGUAGE plpgsql AS $$
DECLARE j tracking_upload_jobs; k tracking_upload_scheduler; t timestamptz; upto bigint; n int; wrong int := 0; ats bigint[]; ids bigint[];
BEGIN
  SELECT * INTO j FROM tracking_upload_jobs x WHERE x.id = p_job FOR UPDATE SKIP LOCKED;
  IF j.id IS NULL OR j.completed_at IS NOT NULL OR j.filled OR j.cancel_requested THEN RETURN QUERY SELECT 'over', 0; RETURN; END IF;
  SELECT * INTO k FROM tracking_upload_scheduler x WHERE x.id = j.scheduler_id;
  t := ledger_now();
  IF j.redrive_of IS NULL THEN
    SELECT array_agg(x.id ORDER BY x.id), array_agg(x.id ORDER BY x.id) INTO ats, ids FROM (SELECT o.id FROM orders o WHERE order_pending(o) AND o.account = k.account AND o.id > j.filled_to ORDER BY o.id LIMIT p_limit) x;
  ELSE
    SELECT array_agg(x.id ORDER BY x.id), array_agg(x.order_id ORDER BY x.id) INTO ats, ids FROM (SELECT d.id, d.order_id FROM tracking_upload_details d
       WHERE d.job_id = j.redrive_of AND d.id > j.filled_to AND d.state IN ('failed', 'unresolved', 'skipped') AND (NOT j.options ? 'error_code' OR d.error_code = j.options ->> 'error_code')
         AND (NOT j.options ? 'details' OR d.id IN (SELECT e::bigint FROM jsonb_array_elements_text(j.options -> 'details') e)) ORDER BY d.id LIMIT p_limit) x;
  END IF;
  n := coalesce(cardinality(ats), 0); upto := ats[n];
  INSERT INTO tracking_upload_details (job_id, order_id, order_no, carrier_code, tracking_number, bundle_no, step, not_before, created_at, overwrite, sends, send_at)
    SELECT j.id, o.id, o.order_no, btrim(o.carrier_code), o.tracking_number, btrim(o.bundle_no), CASE WHEN (j.options ->> 'instruct')::boolean THEN 'instruct' ELSE 'set' END, t, t,
           coalesce((j.options ->> 'overwrite')::boolean, false), coalesce(b.sends, 0), b.send_at
      FROM unnest(ats, ids) l(at, order_id) JOIN orders o ON o.id = l.order_id
      LEFT JOIN LATERAL (SELECT max(d.sends) AS sends, max(d.send_at) AS send_at FROM tracking_upload_details d JOIN tracking_upload_jobs e ON e.id = d.job_id AND NOT e.dry_run
        WHERE d.order_id = o.id AND tracking_plain(d.tracking_number) = tracking_plain(o.tracking_number) AND d.bundle_no = btrim(o.bundle_no)
          AND NOT coalesce((j.options ->> 'send_again')::boolean, false)) b ON true
     WHERE order_pending(o) AND o.account = k.account ORDER BY l.at ON CONFLICT DO NOTHING;
  IF n < p_limit THEN   -- one parcel has one number: PlayAuto would keep whichever comes first; and its orders go together
    WITH several AS (SELECT d.bundle_no, min(d.carrier_code) <> max(d.carrier_code) OR min(tracking_plain(d.tracking_number)) <> max(tracking_plain(d.tracking_number)) AS differ
        FROM tracking_upload_details d WHERE d.job_id = j.id AND d.bundle_no <> '' GROUP BY 1 HAVING count(*) > 1),
    u AS (UPDATE tracking_upload_details d SET shared = true, state = CASE WHEN differ THEN 'failed' ELSE d.state END, error_code = CASE WHEN differ THEN 'e2006' END,
        error_message = CASE WHEN differ THEN 'the orders of one parcel have different carriers or numbers' END, ended_at = CASE WHEN differ THEN t END
      FROM several WHERE d.job_id = j.id AND d.bundle_no = several.bundle_no RETURNING differ)
    SELECT count(*) INTO wrong FROM u WHERE differ;
  END IF;
  UPDATE tracking_upload_jobs x SET filled = n < p_limit, filled_to = coalesce(upto, x.filled_to), failed_count = x.failed_count + wrong,
      total_count = CASE WHEN n < p_limit THEN (SELECT count(*) FROM tracking_upload_details d WHERE d.job_id = j.id) ELSE x.total_count + n END WHERE x.id = j.id;
  RETURN QUERY SELECT CASE WHEN n < p_limit THEN 'filled' ELSE 'more' END, n;
END $$;

-- Orders that were cancelled, corrected or moved after they were laid down, and of which nothing has begun, are left out: `withdrawn` (it waits no more), `changed` (the next run takes it as
-- it is by then). Answers them, NULL if there is none.
CREATE OR REPLACE FUNCTION tracking_drop_changed(p_job bigint, p_ids bigint[], t timestamptz) RETURNS bigint[] LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE found bigint[];
BEGIN
  WITH c AS (SELECT d.id, o.id IS NULL OR NOT order_pending(o) OR o.account <> j.options ->> 'account' AS withdrawn,
      tracking_plain(o.tracking_number) <> tracking_plain(d.tracking_number) OR btrim(o.carrier_code) <> d.carrier_code OR coalesce(btrim(o.bundle_no), '') <> coalesce(d.bundle_no, '') AS changed
      FROM tracking_upload_jobs j CROSS JOIN unnest(p_ids) u(id)
        CROSS JOIN LATERAL (SELECT d.* FROM tracking_upload_details d WHERE d.id = u.id AND d.tries = 0 AND NOT d.exposed AND d.stored_at IS NULL OFFSET 0) d
        LEFT JOIN orders o ON o.id = d.order_id WHERE j.id = p_job),
  e AS (UPDATE tracking_upload_details d SET state = 'skipped', ended_at = t, error_code = CASE WHEN c.withdrawn THEN 'withdrawn' ELSE 'changed' END,
      error_message = CASE WHEN c.withdrawn THEN 'it waits no more: cancelled, uploaded, moved or deleted since the run began' ELSE 'its number, carrier or parcel was changed since the run began; the next run takes it' END
    FROM c WHERE d.id = c.id AND (c.withdrawn OR c.changed) RETURNING d.id)
  SELECT array_agg(e.id) INTO found FROM e;
  RETURN found;
END $$;

-- Take up to p_limit orders that are due, as a chunk of its own, and whatever else of their parcels waits.
-- Scans and hash joins off: planned while a run is small, they would walk through all of it for every chunk (see the head of 40_worker.sql).
CREATE OR REPLACE FUNCTION tracking_claim(p_job bigint, p_owner uuid, p_ttl interval, p_limit int)
RETURNS TABLE (chunk bigint, id bigint, order_no text, bundle_no text, carrier_code text, tracking_number text, step text, tries int, misses int, looks int, exposed boolean,
  stored_s double precision, sends int, sent_s double precision, overwrite boolean, error_code text) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE t timestamptz; ids bigint[]; gone bigint[]; made bigint; shares boolean; jumped timestamptz; dropped int := 0;
BEGIN
  IF ledger_held() OR NOT EXISTS (SELECT 1 FROM tracking_upload_jobs j WHERE j.id = p_job AND j.status = 'running' AND j.filled AND NOT j.cancel_requested) THEN RETURN; END IF;
  shares := EXISTS (SELECT 1 FROM tracking_upload_details d WHERE d.job_id = p_job AND d.shared);
  IF shares THEN PERFORM pg_advisory_xact_lock(hashtext('jeongsi.tracking_claim'), (p_job % 2000000000)::int); END IF;   -- else two claims part a parcel between them
  t := ledger_now();
  LOOP
    SELECT array_agg(c.id ORDER BY c.id) INTO ids FROM (SELECT d.id FROM tracking_upload_details d WHERE d.job_id = p_job AND d.state = 'pending' AND d.not_before <= t
      ORDER BY d.not_before, d.id LIMIT p_limit FOR UPDATE SKIP LOCKED) c;
    EXIT WHEN ids IS NULL;
    IF shares THEN   -- the rest of their parcels, due or not
      SELECT array_agg(DISTINCT c.id ORDER BY c.id) INTO ids FROM (SELECT unnest(ids) AS id UNION ALL SELECT e.id FROM unnest(ids) u(id)
        CROSS JOIN LATERAL (SELECT d.bundle_no FROM tracking_upload_details d WHERE d.id = u.id AND d.shared OFFSET 0) d
        CROSS JOIN LATERAL (SELECT e.id FROM tracking_upload_details e WHERE e.job_id = p_job AND e.shared AND e.bundle_no = d.bundle_no AND e.state || '' = 'pending' OFFSET 0) e) c;
    END IF;
    gone := tracking_drop_changed(p_job, ids, t);
    EXIT WHEN gone IS NULL;
    dropped := dropped + cardinality(gone);
    ids := ARRAY(SELECT u.id FROM unnest(ids) u(id) WHERE u.id <> ALL (gone) ORDER BY 1);
    EXIT WHEN ids <> '{}';
  END LOOP;
  IF dropped > 0 THEN
    UPDATE tracking_upload_jobs j SET skipped_count = j.skipped_count + dropped WHERE j.id = p_job;
  END IF;
  IF ids IS NULL OR ids = '{}' THEN RETURN; END IF;
  -- A step ahead of the clock is no time in which PlayAuto could have done anything (`settling_from`).
  jumped := (SELECT max(i.at) FROM incidents i WHERE i.kind = 'clock_jumped' AND i.at BETWEEN t - interval '1 day' AND t);
  INSERT INTO tracking_chunks (job_id, details, owner, lease_until, made_at) VALUES (p_job, ids, p_owner, t + p_ttl, t) RETURNING tracking_chunks.id INTO made;
  RETURN QUERY WITH u AS (UPDATE tracking_upload_details d SET state = 'leased', owner = p_owner, lease_until = t + p_ttl, fence = made WHERE d.id = ANY (ids) RETURNING d.*)
    SELECT made, u.id, u.order_no, u.bundle_no, u.carrier_code, u.tracking_number, u.step, u.tries::int, u.misses::int, u.looks::int, u.exposed,
           extract(epoch FROM t - CASE WHEN u.stored_at IS NOT NULL THEN greatest(u.stored_at, jumped) END)::float8, u.sends::int,
           extract(epoch FROM t - CASE WHEN u.send_at IS NOT NULL THEN greatest(u.send_at, jumped) END)::float8, u.overwrite, u.error_code
      FROM u ORDER BY u.id;
END $$;

-- The point of no return of one request. Nothing is written before this commit is acknowledged. Verdicts: go | fenced | cancelled | held.
CREATE OR REPLACE FUNCTION tracking_pass(p_chunk bigint, p_owner uuid, p_step text, p_ids bigint[], p_need interval) RETURNS text LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE c tracking_chunks; t timestamptz;
BEGIN
  SELECT * INTO c FROM tracking_chunks x WHERE x.id = p_chunk FOR UPDATE;
  t := ledger_now();
  IF c.id IS NULL OR c.owner <> p_owner OR c.lease_until < t THEN RETURN 'fenced'; END IF;
  IF ledger_held() THEN RETURN 'held'; END IF;
  IF EXISTS (SELECT 1 FROM tracking_upload_jobs j WHERE j.id = c.job_id AND (j.cancel_requested OR j.dry_run)) THEN RETURN 'cancelled'; END IF;
  UPDATE tracking_chunks x SET step = p_step, exposed = true, lease_until = greatest(x.lease_until, t + p_need) WHERE x.id = p_chunk;
  UPDATE tracking_upload_details d SET exposed = true, step = p_step, tries = d.tries + CASE p_step WHEN 'set' THEN 1 ELSE 0 END, retry_attempt = CASE p_step WHEN 'set' THEN d.tries ELSE d.retry_attempt END,
      sends = d.sends + CASE p_step WHEN 'send' THEN 1 ELSE 0 END, send_at = CASE p_step WHEN 'send' THEN t ELSE d.send_at END
   WHERE d.id = ANY (p_ids) AND d.state = 'leased' AND d.fence = p_chunk;
  RETURN 'go';
END $$;

-- What PlayAuto's newest callback said of passing an order on, if it said that it failed. Nobody signs it, so it is a word for people.
CREATE OR REPLACE FUNCTION tracking_last_word(d tracking_upload_details) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT 'PlayAuto said: ' || array_to_string(w.messages, ' ') FROM tracking_works w WHERE w.job_id = d.job_id AND w.said = 'failed' AND d.id = ANY (w.details) AND w.messages <> '{}' ORDER BY w.begun_at DESC LIMIT 1 $$;

-- What became of orders of a chunk. p_what: stay (the chunk goes on with them) | later | succeeded | failed | unresolved | skipped. p_mark: stored (PlayAuto has our number) | doubt (nobody
-- knows what became of the request) | unsent (it is proven that it was not passed on) | miss (a question without an answer) | look (looked, and not there yet) | NULL. p_last: the chunk is done. Answers false if the chunk is not ours any more.
CREATE OR REPLACE FUNCTION tracking_record(p_chunk bigint, p_owner uuid, p_ids bigint[], p_what text[], p_mark text[], p_step text[], p_wait interval[], p_code text[], p_message text[], p_evidence jsonb[],
  p_last boolean) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = '20s' SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE c tracking_chunks; t timestamptz; dry boolean; good int; bad int; left_out int;
BEGIN
  SELECT * INTO c FROM tracking_chunks x WHERE x.id = p_chunk FOR UPDATE;
  IF c.id IS NULL OR c.owner <> p_owner THEN RETURN false; END IF;
  t := ledger_now();
  SELECT j.dry_run INTO dry FROM tracking_upload_jobs j WHERE j.id = c.job_id;
  IF NOT dry AND 'succeeded' = ANY (p_what) THEN   -- in their order, as an import locks them
    PERFORM 1 FROM orders o WHERE o.id = ANY (ARRAY(SELECT d.order_id FROM unnest(p_ids, p_what) i(id, what) JOIN tracking_upload_details d ON d.id = i.id WHERE i.what = 'succeeded')) ORDER BY o.id FOR UPDATE;
  END IF;
  WITH u AS (UPDATE tracking_upload_details d SET
      state = CASE i.what WHEN 'stay' THEN d.state WHEN 'later' THEN 'pending' ELSE i.what END, step = coalesce(i.step, d.step),
      owner = CASE i.what WHEN 'stay' THEN d.owner END, lease_until = CASE i.what WHEN 'stay' THEN d.lease_until END,
      not_before = CASE i.what WHEN 'later' THEN t + i.wait ELSE d.not_before END,
      exposed = coalesce(i.mark, '') = 'doubt' OR (coalesce(i.mark, '') = 'miss' AND d.exposed),
      deaths = 0, misses = CASE WHEN i.mark IN ('miss', 'unsent') OR (i.mark = 'doubt' AND d.step = 'instruct') THEN d.misses + 1 ELSE 0 END, sends = greatest(d.sends - CASE i.mark WHEN 'unsent' THEN 1 ELSE 0 END, 0), looks = CASE WHEN i.mark = 'look' THEN d.looks + 1 ELSE d.looks END,
      stored_at = CASE WHEN i.mark IN ('stored', 'unsent') THEN coalesce(d.stored_at, t) ELSE d.stored_at END,
      error_code = i.code, error_message = CASE WHEN i.code = 'send_unconfirmed' THEN concat_ws(': ', i.message, tracking_last_word(d)) ELSE i.message END, evidence = coalesce(i.evidence, d.evidence),
      uploaded_at = CASE i.what WHEN 'succeeded' THEN t END, ended_at = CASE WHEN i.what IN ('stay', 'later') THEN NULL ELSE t END
    FROM unnest(p_ids, p_what, p_mark, p_step, p_wait, p_code, p_message, p_evidence) i(id, what, mark, step, wait, code, message, evidence)
   WHERE d.id = i.id AND d.state = 'leased' AND d.fence = p_chunk RETURNING d.state, d.order_id, d.tracking_number, d.carrier_code, d.bundle_no),
  o AS (UPDATE orders o SET playauto_uploaded = 1, uploaded_at = t, updated_at = t FROM u   -- one that was given another number meanwhile still waits
    WHERE NOT dry AND u.state = 'succeeded' AND o.id = u.order_id AND o.playauto_uploaded = 0 AND tracking_plain(o.tracking_number) = tracking_plain(u.tracking_number) AND btrim(o.carrier_code) = u.carrier_code
      AND coalesce(btrim(o.bundle_no), '') = coalesce(u.bundle_no, ''))
  SELECT count(*) FILTER (WHERE u.state = 'succeeded'), count(*) FILTER (WHERE u.state IN ('failed', 'unresolved')), count(*) FILTER (WHERE u.state = 'skipped') INTO good, bad, left_out FROM u;
  IF p_last THEN DELETE FROM tracking_chunks x WHERE x.id = p_chunk; END IF;
  IF good + bad + left_out = 0 THEN RETURN true; END IF;
  UPDATE tracking_upload_jobs j SET success_count = j.success_count + good, failed_count = j.failed_count + bad, skipped_count = j.skipped_count + left_out,
      progress_percent = least(100, 100.0 * (j.success_count + j.failed_count + j.skipped_count + good + bad + left_out) / greatest(j.total_count, 1)) WHERE j.id = c.job_id;
  RETURN true;
END $$;

-- PlayAuto began these jobs for orders of a chunk.
CREATE OR REPLACE FUNCTION tracking_works_begun(p_chunk bigint, p_works text[], p_ids bigint[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO tracking_works (job_id, work_no, details, begun_at) SELECT c.job_id, w.no, p_ids, ledger_now() FROM tracking_chunks c, unnest(p_works) w(no) WHERE c.id = p_chunk
    ON CONFLICT (job_id, work_no) DO UPDATE SET details = excluded.details, begun_at = excluded.begun_at $$;

-- A callback says something of a job of PlayAuto's: its orders are looked at now. The words are kept, and believed in nothing. Answers how many orders.
CREATE OR REPLACE FUNCTION tracking_heard(p_work text, p_said text, p_messages text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; t timestamptz := ledger_now();
BEGIN
  WITH w AS (UPDATE tracking_works x SET heard_at = t, said = p_said, messages = p_messages WHERE x.work_no = p_work RETURNING x.job_id, x.details)
  UPDATE tracking_upload_details d SET not_before = t FROM (SELECT DISTINCT unnest(w.details) AS id FROM w) i
   WHERE d.id = i.id AND d.state = 'pending' AND d.step = 'confirm' AND d.not_before > t;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- One statement for all chunks of a process, and for the slots of their runs.
CREATE OR REPLACE FUNCTION tracking_renew(p_chunks bigint[], p_owner uuid, p_ttl interval, p_slot_ttl interval) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; t timestamptz := ledger_now();
BEGIN
  UPDATE slots s SET lease_until = t + p_slot_ttl FROM tracking_upload_jobs j
   WHERE j.status = 'running' AND j.slot_id IS NOT NULL AND s.schedule_id = j.scheduler_id AND s.slot_at = to_timestamp(split_part(j.slot_id, '-', 2)::bigint / 1000.0)
     AND s.state = 'leased' AND s.lease_until > t AND s.lease_until < t + p_slot_ttl * 0.7;
  UPDATE tracking_chunks c SET lease_until = greatest(c.lease_until, t + p_ttl) WHERE c.id = ANY (p_chunks) AND c.owner = p_owner AND c.lease_until > t;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- Take back the chunks of the dead. Their orders are due at once; whoever takes them up looks what PlayAuto has. Nine in a row: poison.
CREATE OR REPLACE FUNCTION tracking_reap(p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE c tracking_chunks; n int := 0; bad int; t timestamptz := ledger_now();
BEGIN
  IF ledger_held() THEN RETURN 0; END IF;
  FOR c IN SELECT * FROM tracking_chunks x WHERE x.lease_until < t ORDER BY x.lease_until LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
    WITH u AS (UPDATE tracking_upload_details d SET owner = NULL, lease_until = NULL, not_before = t, deaths = d.deaths + 1,
        state = CASE WHEN d.deaths >= 8 THEN CASE WHEN d.exposed THEN 'unresolved' ELSE 'failed' END ELSE 'pending' END,
        error_code = CASE WHEN d.deaths >= 8 THEN 'poison' ELSE d.error_code END, ended_at = CASE WHEN d.deaths >= 8 THEN t END,
        error_message = CASE WHEN d.deaths >= 8 THEN 'nine workers in a row died, or gave up, while they had it; look into their logs, then redrive it' ELSE d.error_message END
      WHERE d.id = ANY (c.details) AND d.state = 'leased' AND d.fence = c.id RETURNING d.state)
    SELECT count(*) FILTER (WHERE state <> 'pending') INTO bad FROM u;
    IF bad > 0 THEN UPDATE tracking_upload_jobs j SET failed_count = j.failed_count + bad WHERE j.id = c.job_id; END IF;
    DELETE FROM tracking_chunks x WHERE x.id = c.id;
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;

-- Stop a run. Verdicts: cancelled | over | gone. p_reason: cancelled, or why the account as a whole cannot go on.
CREATE OR REPLACE FUNCTION tracking_stop(p_job bigint, p_who text, p_reason text, p_message text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE j tracking_upload_jobs;
BEGIN
  SELECT * INTO j FROM tracking_upload_jobs x WHERE x.id = p_job FOR UPDATE;
  IF j.id IS NULL THEN RETURN 'gone'; END IF;
  IF j.completed_at IS NOT NULL THEN RETURN 'over'; END IF;
  UPDATE tracking_upload_jobs x SET cancel_requested = true, reason = coalesce(x.reason, p_reason), cancelled_by = coalesce(x.cancelled_by, p_who), error_message = coalesce(x.error_message, p_message) WHERE x.id = p_job;
  PERFORM pg_notify('jeongsi_tracking', '');
  RETURN 'cancelled';
END $$;

-- Close a run whose orders have all ended; of one that is to stop, first end what has not begun (p_limit at a time). Verdicts: open | more | finished | over | gone.
CREATE OR REPLACE FUNCTION tracking_finish(p_job bigint, p_limit int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE j tracking_upload_jobs; t timestamptz; n int := 0; done record; why text;
BEGIN
  SELECT * INTO j FROM tracking_upload_jobs x WHERE x.id = p_job;
  IF j.id IS NULL THEN RETURN 'gone'; END IF;
  IF j.completed_at IS NOT NULL THEN RETURN 'over'; END IF;
  IF ledger_held() OR NOT (j.filled OR j.cancel_requested) THEN RETURN 'open'; END IF;
  IF NOT j.cancel_requested AND (EXISTS (SELECT 1 FROM tracking_chunks c WHERE c.job_id = p_job) OR EXISTS (SELECT 1 FROM tracking_upload_details d WHERE d.job_id = p_job AND d.state = 'pending')) THEN RETURN 'open'; END IF;
  IF j.slot_id IS NOT NULL THEN PERFORM 1 FROM slots s WHERE s.schedule_id = j.scheduler_id AND s.slot_at = to_timestamp(split_part(j.slot_id, '-', 2)::bigint / 1000.0) FOR UPDATE; END IF;
  SELECT * INTO j FROM tracking_upload_jobs x WHERE x.id = p_job FOR UPDATE;
  IF j.completed_at IS NOT NULL THEN RETURN 'over'; END IF;
  t := ledger_now();
  IF j.cancel_requested THEN
    WITH c AS (SELECT d.id FROM tracking_upload_details d WHERE d.job_id = p_job AND d.state = 'pending' ORDER BY d.id LIMIT p_limit FOR UPDATE SKIP LOCKED)
    UPDATE tracking_upload_details d SET state = CASE WHEN d.exposed AND d.stored_at IS NULL THEN 'unresolved' ELSE 'skipped' END, error_code = j.reason, ended_at = t,
        error_message = CASE WHEN d.sends > 0 THEN 'PlayAuto was told to pass it on to the shop; not confirmed yet' WHEN d.stored_at IS NOT NULL THEN 'PlayAuto has the number; it was not passed on to the shop'
                             WHEN d.exposed THEN 'PlayAuto may have the number; the next run looks' ELSE 'not begun' END FROM c WHERE d.id = c.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n = p_limit THEN RETURN 'more'; END IF;
  END IF;
  IF EXISTS (SELECT 1 FROM tracking_upload_details d WHERE d.job_id = p_job AND d.state IN ('pending', 'leased')) THEN RETURN 'open'; END IF;
  SELECT count(*) AS total, count(*) FILTER (WHERE d.state = 'succeeded') AS good, count(*) FILTER (WHERE d.state IN ('failed', 'unresolved')) AS bad, count(*) FILTER (WHERE d.state = 'skipped') AS left_out
    INTO done FROM tracking_upload_details d WHERE d.job_id = p_job;
  why := CASE WHEN j.cancel_requested THEN j.reason WHEN done.total = 0 THEN 'nothing_pending' WHEN done.bad = 0 THEN 'done' WHEN done.good = 0 AND NOT j.dry_run THEN 'all_failed' ELSE 'some_failed' END;
  UPDATE tracking_upload_jobs x SET status = CASE WHEN j.cancel_requested OR why = 'all_failed' THEN 'failed' ELSE 'completed' END, reason = why, completed_at = t, owner = NULL, lease_until = NULL,
      total_count = done.total, success_count = done.good, failed_count = done.bad, skipped_count = done.left_out, progress_percent = CASE WHEN j.cancel_requested THEN x.progress_percent ELSE 100 END,
      error_message = CASE WHEN j.cancel_requested THEN coalesce(j.error_message || ': ', 'cancelled by ' || coalesce(j.cancelled_by, '?') || ': ')
                             || done.good || ' uploaded, ' || done.bad || ' failed, ' || done.left_out || ' not done, of ' || done.total END
    WHERE x.id = p_job RETURNING * INTO j;
  PERFORM tracking_slot_end(j);
  RETURN 'finished';
END $$;

-- What every live run needs, by index probes: orders laid down, a chunk taken, or its end.
CREATE OR REPLACE FUNCTION tracking_agenda() RETURNS TABLE (job bigint, account text, filled boolean, stopping boolean, due boolean, under_way boolean, due_in_s double precision, batch int, options jsonb, dry_run boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now();
BEGIN
  IF ledger_held() THEN RETURN; END IF;
  RETURN QUERY SELECT j.id, j.options ->> 'account', j.filled, j.cancel_requested, n.at <= t, EXISTS (SELECT 1 FROM tracking_chunks c WHERE c.job_id = j.id), extract(epoch FROM n.at - t)::float8,
      (j.options ->> 'batch_size')::int, j.options, j.dry_run
    FROM tracking_upload_jobs j LEFT JOIN LATERAL (SELECT min(d.not_before) AS at FROM tracking_upload_details d WHERE d.job_id = j.id AND d.state = 'pending') n ON true
   WHERE j.status IN ('pending', 'running') ORDER BY j.id;
END $$;

-- Slots of uploads that are due, for workers whose Redis is away.
CREATE OR REPLACE FUNCTION tracking_due_slots(p_limit int) RETURNS TABLE (sid bigint, sat timestamptz) LANGUAGE sql STABLE AS $$
  SELECT s.schedule_id, s.slot_at FROM slots s WHERE s.state = 'queued' AND s.kind = 'tracking' AND s.not_before <= ledger_now() AND NOT ledger_held() LIMIT p_limit $$;

-- A conflict, and the person keeps PlayAuto's number: the order waits no more. Verdicts: kept | no_conflict | changed (the order has another number by now) | gone.
CREATE OR REPLACE FUNCTION tracking_keep_theirs(p_detail bigint, p_who text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d tracking_upload_details; t timestamptz := ledger_now(); j bigint;
BEGIN
  SELECT x.job_id INTO j FROM tracking_upload_details x WHERE x.id = p_detail;
  IF j IS NULL THEN RETURN 'gone'; END IF;
  PERFORM 1 FROM tracking_upload_jobs x WHERE x.id = j FOR UPDATE;
  SELECT * INTO d FROM tracking_upload_details x WHERE x.id = p_detail FOR UPDATE;
  IF d.state <> 'unresolved' OR d.error_code IS DISTINCT FROM 'conflict' THEN RETURN 'no_conflict'; END IF;
  IF NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = d.order_id AND tracking_plain(o.tracking_number) = tracking_plain(d.tracking_number)) THEN RETURN 'changed'; END IF;
  UPDATE tracking_upload_details x SET state = 'skipped', error_code = 'kept_theirs', error_message = 'PlayAuto''s number was kept by ' || p_who, evidence = coalesce(x.evidence, '{}') || jsonb_build_object('chosen_by', p_who, 'chosen_at', t) WHERE x.id = p_detail;
  UPDATE orders o SET playauto_uploaded = 1, uploaded_at = t, updated_at = t WHERE o.id = d.order_id AND o.playauto_uploaded = 0;
  UPDATE tracking_upload_jobs x SET failed_count = greatest(x.failed_count - 1, 0), skipped_count = x.skipped_count + 1 WHERE x.id = d.job_id;
  RETURN 'kept';
END $$;

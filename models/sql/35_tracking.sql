-- Uploads of tracking numbers: which orders wait for one (C78, C85-C88), and when each account's run is due. Raw SQL and our own code are one path here, too.

-- What a status says of a claim: cancel, return, exchange, or NULL. Korean, PlayAuto's and English names, in any of their sub-states (취소요청, 반품회수완료, 맞교환완료,
-- CANCEL_DONE ...). A claim that was withdrawn or refused (취소철회, 교환거부, RETURN_REJECT) is none: that order is on its way as before.
CREATE OR REPLACE FUNCTION order_claim(status text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN status ~* '철회|거부|거절|반려|reject|withdraw' THEN NULL
              WHEN status ~* '교환|exchange' THEN 'exchange'
              WHEN status ~* '반품|회수|수거|return' THEN 'return'
              WHEN status ~* '취소|환불|출고\s*중지|cancel|refund' THEN 'cancel' END $$;

-- THE rule: this order's number is to be uploaded. Written so that orders_waiting_idx serves it; ask `FROM orders o WHERE order_pending(o)`.
CREATE OR REPLACE FUNCTION order_pending(o orders) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT o.playauto_uploaded = 0 AND o.tracking_number IS NOT NULL AND o.tracking_number <> '' AND o.tracking_number ~ '\S' AND coalesce(o.carrier_code, '') ~ '\S' AND order_claim(o.order_status) IS NULL $$;

-- The same rule in words: the first thing that keeps an order from being uploaded, NULL if nothing does.
CREATE OR REPLACE FUNCTION order_hindrance(o orders) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN o.playauto_uploaded <> 0 THEN 'uploaded' WHEN coalesce(o.tracking_number, '') !~ '\S' THEN 'no_number'
              WHEN order_claim(o.order_status) IS NOT NULL THEN order_claim(o.order_status) WHEN coalesce(o.carrier_code, '') !~ '\S' THEN 'no_carrier' END $$;

-- An import: whether what it says of an order would have another number, parcel or carrier uploaded. What it leaves out (NULL) says nothing.
CREATE OR REPLACE FUNCTION order_moves(o orders, n orders) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN coalesce(regexp_replace(n.tracking_number, '[^0-9A-Za-z]', '', 'g') <> regexp_replace(coalesce(o.tracking_number, n.tracking_number), '[^0-9A-Za-z]', '', 'g'), false)
      OR coalesce(n.bundle_no <> coalesce(o.bundle_no, n.bundle_no), false) OR coalesce(n.carrier_code <> coalesce(o.carrier_code, n.carrier_code), false);
END $$;

-- The order as an import of `n` leaves it. What was uploaded keeps number, parcel and carrier, and stays uploaded, unless p_again says that it is to be
-- uploaded anew. A carrier known by name only keeps the code that this name has had.
CREATE OR REPLACE FUNCTION order_merged(o orders, n orders, p_again boolean) RETURNS orders LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE was smallint := o.playauto_uploaded;
BEGIN
  IF was = 1 AND p_again AND (order_moves(o, n) OR n.playauto_uploaded = 0) THEN o.playauto_uploaded := 0; o.uploaded_at := NULL;
  ELSIF n.playauto_uploaded = 1 THEN o.playauto_uploaded := 1; END IF;
  o.shop_code := coalesce(n.shop_code, o.shop_code); o.shop_name := coalesce(n.shop_name, o.shop_name);
  o.shop_order_no := coalesce(n.shop_order_no, o.shop_order_no); o.playauto_uniq := coalesce(n.playauto_uniq, o.playauto_uniq);
  o.order_status := coalesce(n.order_status, o.order_status);
  IF was = 0 OR p_again THEN
    IF n.carrier_code IS NULL AND n.carrier_name <> coalesce(o.carrier_name, '') THEN o.carrier_code := NULL; o.carrier_name := n.carrier_name;
    ELSIF n.carrier_code <> coalesce(o.carrier_code, '') THEN o.carrier_code := n.carrier_code; o.carrier_name := n.carrier_name;
    ELSE o.carrier_name := coalesce(n.carrier_name, o.carrier_name); END IF;
    o.tracking_number := coalesce(n.tracking_number, o.tracking_number); o.bundle_no := coalesce(n.bundle_no, o.bundle_no);
  ELSE
    o.tracking_number := coalesce(o.tracking_number, n.tracking_number); o.bundle_no := coalesce(o.bundle_no, n.bundle_no);
    o.carrier_code := coalesce(o.carrier_code, n.carrier_code); o.carrier_name := coalesce(o.carrier_name, n.carrier_name);
  END IF;
  RETURN o;
END $$;

-- The rules of an account's run, as the planner reads them.
CREATE OR REPLACE FUNCTION tracking_rules(s tracking_upload_scheduler) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_array(CASE WHEN s.weekdays IS NULL THEN jsonb_build_object('kind', 'daily', 'time', s.schedule_time)
    ELSE jsonb_build_object('kind', 'weekly', 'time', s.schedule_time, 'weekdays', to_jsonb(string_to_array(s.weekdays, ','))) END) $$;

-- When a run is due after `t`, for people, until the beat has laid the slot down and knows better.
CREATE OR REPLACE FUNCTION tracking_next_run(s tracking_upload_scheduler, t timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT min(x.at) FROM (SELECT day, (day + s.schedule_time::time) AT TIME ZONE s.tz AS at
      FROM (SELECT (t AT TIME ZONE s.tz)::date + n AS day FROM generate_series(0, 7) n) d) x
   WHERE x.at > t AND s.enabled AND s.deleted_at IS NULL AND (s.weekdays IS NULL OR btrim(to_char(x.day, 'day')) = ANY (string_to_array(s.weekdays, ','))) $$;

-- What the history keeps of a version: no secret, no address, nothing that changes by itself.
CREATE OR REPLACE FUNCTION tracking_version(s tracking_upload_scheduler) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT to_jsonb(s) - ARRAY['credentials', 'discord_webhook', 'slack_webhook', 'last_run_at', 'next_run_at', 'updated_at', 'error_reason']
    || jsonb_build_object('title', '송장 업로드 · ' || s.account) $$;

CREATE OR REPLACE FUNCTION tracking_scheduler_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM now() AT TIME ZONE NEW.tz;
  EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'tz: unknown time zone %, write one like Asia/Seoul', NEW.tz USING ERRCODE = 'check_violation';
  END;
  IF TG_OP = 'INSERT' THEN
    IF EXISTS (SELECT 1 FROM schedule_clock WHERE schedule_id = NEW.id) THEN
      RAISE EXCEPTION 'tracking_upload_scheduler % : a schedule has this id already, leave id out to get a free one', NEW.id USING ERRCODE = 'check_violation'; END IF;
    NEW.version := 1;
  ELSE
    IF NEW.id <> OLD.id THEN
      RAISE EXCEPTION 'tracking_upload_scheduler % : it keeps its id, its slots and jobs are known by it', OLD.id USING ERRCODE = 'check_violation'; END IF;
    NEW.version := OLD.version;
    IF (to_jsonb(OLD) - ARRAY['last_run_at', 'next_run_at', 'updated_at', 'version', 'error_reason']) = (to_jsonb(NEW) - ARRAY['last_run_at', 'next_run_at', 'updated_at', 'version', 'error_reason']) THEN
      RETURN NEW; END IF;
    NEW.version := OLD.version + 1; NEW.updated_at := ledger_now();
    IF NEW.enabled THEN NEW.error_reason := NULL; END IF;
  END IF;
  IF NEW.deleted_at IS NOT NULL THEN NEW.enabled := false; END IF;
  NEW.next_run_at := tracking_next_run(NEW, ledger_now());
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION tracking_scheduler_after() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); rules_ jsonb := tracking_rules(NEW); why text;
BEGIN
  IF TG_OP = 'UPDATE' THEN   -- as kb_schedule_after: the clock first, then the slots, then the time
    PERFORM 1 FROM schedule_clock WHERE schedule_id = NEW.id FOR UPDATE;
    PERFORM 1 FROM slots WHERE schedule_id = NEW.id AND ended_at IS NULL ORDER BY slot_at FOR UPDATE;
    t := greatest(ledger_now(), (SELECT version_from FROM schedule_clock WHERE schedule_id = NEW.id));
  END IF;
  INSERT INTO kb_schedule_history (schedule_id, version, valid_from, who, op, row, clock)
    VALUES (NEW.id, NEW.version, t, ledger_who(), CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' ELSE lower(TG_OP) END, tracking_version(NEW),
            jsonb_build_object('rules', rules_, 'tz', NEW.tz, 'enabled', NEW.enabled, 'valid_from', '1970-01-01 00:00+00', 'valid_until', '2999-12-31 00:00+09',
              'grace_s', NEW.grace_seconds, 'validity_s', NEW.grace_seconds, 'misfire', 'latest', 'priority', 5, 'room_ref', NULL));
  IF TG_OP = 'INSERT' THEN
    INSERT INTO schedule_clock (schedule_id, kind, rules, tz, version, version_from, planned_to, enabled, valid_from, valid_until, grace_s, validity_s, misfire, priority)
      VALUES (NEW.id, 'tracking', rules_, NEW.tz, NEW.version, t, CASE WHEN NEW.enabled THEN t END, NEW.enabled, '1970-01-01 00:00+00', '2999-12-31 00:00+09',
              NEW.grace_seconds, NEW.grace_seconds, 'latest', 5);
  ELSE
    UPDATE schedule_clock SET rules = rules_, tz = NEW.tz, version = NEW.version, version_from = t, enabled = NEW.enabled, grace_s = NEW.grace_seconds, validity_s = NEW.grace_seconds,
        planned_to = coalesce(planned_to, CASE WHEN NEW.enabled THEN t END), replan_from = CASE WHEN NEW.enabled OR planned_to IS NOT NULL THEN least(replan_from, t) END
      WHERE schedule_id = NEW.id;
    DELETE FROM slots WHERE schedule_id = NEW.id AND origin = 'plan' AND slot_at > t AND ended_at IS NULL AND exposed = 0;
    why := CASE WHEN NEW.deleted_at IS NOT NULL THEN 'deleted' WHEN NOT NEW.enabled THEN 'paused' END;
    IF why IS NOT NULL THEN   -- a run that has begun goes on: it is stopped by its job's cancel_requested
      UPDATE slots SET state = 'cancelled', reason = why, ended_at = t, owner = NULL, lease_until = NULL, republish_at = NULL, fence = fence + 1
       WHERE schedule_id = NEW.id AND ended_at IS NULL AND exposed = 0;
    ELSE
      UPDATE slots SET content_version = NEW.version WHERE schedule_id = NEW.id AND ended_at IS NULL AND exposed = 0 AND origin = 'plan';
    END IF;
  END IF;
  PERFORM pg_notify('jeongsi_schedule', '');
  RETURN NULL;
END $$;

-- Deleting an account's scheduler keeps the record of its uploads: it becomes a soft delete, and the account may have another.
CREATE OR REPLACE FUNCTION tracking_scheduler_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE tracking_upload_scheduler SET deleted_at = ledger_now(), enabled = false WHERE id = OLD.id AND deleted_at IS NULL;
  RETURN NULL;
END $$;

-- A run that began is the scheduler's last one. Said by a row of its own, which the beat takes up: the scheduler's row is not locked by workers.
CREATE OR REPLACE FUNCTION tracking_job_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO schedule_dirty (schedule_id, sent_at) VALUES (NEW.scheduler_id, NEW.started_at);
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tracking_scheduler_before BEFORE INSERT OR UPDATE ON tracking_upload_scheduler FOR EACH ROW EXECUTE FUNCTION tracking_scheduler_before();
CREATE OR REPLACE TRIGGER tracking_scheduler_after AFTER INSERT ON tracking_upload_scheduler FOR EACH ROW EXECUTE FUNCTION tracking_scheduler_after();
CREATE OR REPLACE TRIGGER tracking_scheduler_after_edit AFTER UPDATE ON tracking_upload_scheduler FOR EACH ROW WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION tracking_scheduler_after();
CREATE OR REPLACE TRIGGER tracking_scheduler_delete BEFORE DELETE ON tracking_upload_scheduler FOR EACH ROW EXECUTE FUNCTION tracking_scheduler_delete();
CREATE OR REPLACE TRIGGER tracking_job_after AFTER INSERT OR UPDATE OF status, started_at ON tracking_upload_jobs FOR EACH ROW
  WHEN (NEW.status <> 'pending' AND NOT NEW.dry_run) EXECUTE FUNCTION tracking_job_after();

-- next_run_at and last_run_at of the accounts whose slots or jobs moved; skips what an edit holds. Part of refresh_schedules.
CREATE OR REPLACE FUNCTION refresh_tracking(p_limit int) RETURNS int LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE n int; ids bigint[];
BEGIN
  IF NOT EXISTS (SELECT 1 FROM tracking_upload_scheduler) THEN RETURN 0; END IF;
  SELECT array_agg(k.id) INTO ids FROM (SELECT DISTINCT d.schedule_id FROM (SELECT schedule_id FROM schedule_dirty LIMIT p_limit) d ORDER BY 1) d
    CROSS JOIN LATERAL (SELECT k.id FROM tracking_upload_scheduler k WHERE k.id = d.schedule_id FOR UPDATE SKIP LOCKED) k;
  IF ids IS NULL THEN RETURN 0; END IF;
  WITH d AS (DELETE FROM schedule_dirty WHERE schedule_id = ANY (ids) RETURNING schedule_id, sent_at),
  x AS (SELECT schedule_id, max(sent_at) AS sent_at FROM d GROUP BY 1)
  UPDATE tracking_upload_scheduler k SET last_run_at = greatest(k.last_run_at, x.sent_at),
      next_run_at = CASE WHEN k.enabled THEN least((SELECT min(s.slot_at) FROM slots s WHERE s.schedule_id = k.id AND s.slot_at > ledger_now() - interval '2 days' AND s.state IN ('planned', 'waiting', 'queued')), c.planned_to) END
    FROM x LEFT JOIN schedule_clock c ON c.schedule_id = x.schedule_id WHERE k.id = x.schedule_id;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN n;
END $$;

-- Who writes the scheduler needs rights on it alone, as with kb_schedule.
DO $$
DECLARE f text;
BEGIN
  FOREACH f IN ARRAY ARRAY['tracking_scheduler_before()', 'tracking_scheduler_after()', 'tracking_scheduler_delete()', 'tracking_job_after()'] LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', f, current_schema());
  END LOOP;
END $$;

-- Weeks of the ledger. There is no default partition: a row outside the weeks fails loudly.

CREATE OR REPLACE FUNCTION ensure_week(parent text, monday date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE child text := parent || '_' || to_char(monday, 'IYYY"w"IW'); lo timestamptz; hi timestamptz;
BEGIN
  IF to_regclass(child) IS NOT NULL THEN RETURN false; END IF;
  lo := monday::timestamp AT TIME ZONE 'Asia/Seoul'; hi := (monday + 7)::timestamp AT TIME ZONE 'Asia/Seoul';
  EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, lo, hi);
  IF parent IN ('slots', 'parts') THEN
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)', child);
  END IF;
  IF parent = 'slots' THEN PERFORM attach_slot_guards(child::regclass); END IF;
  RETURN true;
END $$;

-- Make every week from the oldest cursor (within retention) to three weeks ahead. Safe to run at any time by anyone.
CREATE OR REPLACE FUNCTION ensure_partitions(retention interval DEFAULT '90 days') RETURNS int LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); w date; last date; made int := 0; parent text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('jeongsi.partitions'));
  SELECT date_trunc('week', greatest(least(min(due_at), t), t - retention) AT TIME ZONE 'Asia/Seoul')::date - 7 INTO w FROM schedule_clock;
  last := date_trunc('week', t AT TIME ZONE 'Asia/Seoul')::date + 21;
  WHILE w <= last LOOP
    FOREACH parent IN ARRAY ARRAY['slots', 'parts', 'attempts', 'slot_log'] LOOP
      IF ensure_week(parent, w) THEN made := made + 1; END IF;
    END LOOP;
    w := w + 7;
  END LOOP;
  RETURN made;
END $$;

-- Drop whole weeks that ended before the retention; never one that still holds a live or unresolved, uncleared slot.
CREATE OR REPLACE FUNCTION drop_old_partitions(ledger_retention interval, log_retention interval) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE r record; t timestamptz := ledger_now(); dropped text[] := '{}'; held boolean; hi timestamptz; week text;
BEGIN
  FOR r IN SELECT p.relname AS parent, c.relname AS child, c.oid AS oid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid
            WHERE p.relname IN ('slots', 'slot_log') ORDER BY c.relname LOOP
    hi := (regexp_match(pg_get_expr((SELECT relpartbound FROM pg_class WHERE oid = r.oid), r.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz;
    IF hi > t - (CASE r.parent WHEN 'slots' THEN ledger_retention ELSE log_retention END) THEN CONTINUE; END IF;
    IF r.parent = 'slots' THEN
      EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE ended_at IS NULL OR (state = ''unresolved'' AND cleared_at IS NULL))', r.child) INTO held;
      IF held THEN CONTINUE; END IF;
      week := substr(r.child, length('slots_') + 1);
      EXECUTE format('DROP TABLE IF EXISTS %I, %I', 'parts_' || week, 'attempts_' || week);
      dropped := dropped || ARRAY['parts_' || week, 'attempts_' || week];
    END IF;
    EXECUTE format('DROP TABLE %I', r.child);
    dropped := dropped || r.child::text;
  END LOOP;
  RETURN dropped;
END $$;

-- Small rows past retention, in bites. An incident stays as long as its slot's row (weeks are dropped whole), because the audit reads it. The
-- history of schedules is never pruned: promises are recomputed from it.
CREATE OR REPLACE FUNCTION prune(retention interval, p_limit int DEFAULT 20000) RETURNS int LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); n int; total int;
BEGIN
  WITH old AS (SELECT room_ref, day FROM room_quota WHERE day < korean_day(t - retention) LIMIT p_limit FOR UPDATE SKIP LOCKED)
    DELETE FROM room_quota q USING old WHERE q.room_ref = old.room_ref AND q.day = old.day;
  GET DIAGNOSTICS total = ROW_COUNT;
  WITH old AS (SELECT id FROM incidents i WHERE at < t - retention - interval '7 days' AND coalesce(greatest(slot_at, range_to), at) < t - retention - interval '7 days'
      AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.schedule_id = i.schedule_id AND s.slot_at = i.slot_at) ORDER BY at LIMIT p_limit FOR UPDATE SKIP LOCKED)
    DELETE FROM incidents i USING old WHERE i.id = old.id;
  GET DIAGNOSTICS n = ROW_COUNT; total := total + n;
  WITH old AS (SELECT device, message_id FROM device_messages WHERE at < t - retention ORDER BY at LIMIT p_limit FOR UPDATE SKIP LOCKED)
    DELETE FROM device_messages m USING old WHERE m.device = old.device AND m.message_id = old.message_id;
  GET DIAGNOSTICS n = ROW_COUNT; total := total + n;
  DELETE FROM schedule_dirty d WHERE NOT EXISTS (SELECT 1 FROM kb_schedule k WHERE k.id = d.schedule_id)
    AND NOT EXISTS (SELECT 1 FROM tracking_upload_scheduler k WHERE k.id = d.schedule_id);
  GET DIAGNOSTICS n = ROW_COUNT; RETURN total + n;
END $$;

-- The planner's knowledge of tables that have grown fourfold since it last looked: a fresh week that a nightly VACUUM ANALYZE has called empty would else be
-- planned for as empty until autovacuum comes by, a minute later. Answers the tables that were looked at. One process at a time.
CREATE OR REPLACE FUNCTION refresh_statistics(p_most int DEFAULT 3) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE r record; seen text[] := '{}';
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('jeongsi.statistics')) THEN RETURN seen; END IF;
  FOR r IN SELECT c.oid::regclass AS name FROM pg_class c
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(slots|parts|attempts|slot_log|rooms|room_gate|room_quota|kb_schedule|schedule_clock)'
              AND pg_stat_get_mod_since_analyze(c.oid) > 500 AND pg_stat_get_live_tuples(c.oid) > 4 * greatest(c.reltuples, 100)
            ORDER BY pg_stat_get_mod_since_analyze(c.oid) DESC LIMIT p_most LOOP
    EXECUTE format('ANALYZE %s', r.name);
    seen := seen || r.name::text;
  END LOOP;
  RETURN seen;
END $$;

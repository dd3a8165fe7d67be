-- The schedule front: raw SQL, the customer's admin pages and our own code are one path, these triggers.

-- The rules of a kb_schedule row, as the planner reads them.
CREATE OR REPLACE FUNCTION schedule_rules(s kb_schedule) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT CASE s.schedule_type
    WHEN 'once'    THEN jsonb_build_array(jsonb_build_object('kind', 'once', 'date', to_char(s.schedule_date, 'YYYY-MM-DD'), 'time', s.schedule_time::text))
    WHEN 'daily'   THEN jsonb_build_array(jsonb_build_object('kind', 'daily', 'time', s.schedule_time::text))
    WHEN 'weekly'  THEN jsonb_build_array(jsonb_build_object('kind', 'weekly', 'time', s.schedule_time::text, 'weekdays', to_jsonb(string_to_array(s.schedule_weekdays, ','))))
    WHEN 'regular' THEN '[{"kind": "regular"}]'::jsonb
    WHEN 'peak'    THEN jsonb_build_array(jsonb_build_object('kind', 'peak', 'hours', (SELECT jsonb_agg(h::int) FROM unnest(string_to_array(s.peak_hours, ',')) h)))
    WHEN 'cron'    THEN jsonb_build_array(jsonb_build_object('kind', 'cron', 'expr', s.cron_expr))
    ELSE s.rules END $$;

-- What no rule can read: the sentence that the schedule's `error_reason` will say, or NULL.
CREATE OR REPLACE FUNCTION schedule_problem(s kb_schedule) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE images int; room rooms%ROWTYPE;
BEGIN
  BEGIN
    PERFORM now() AT TIME ZONE s.tz;
  EXCEPTION WHEN OTHERS THEN RETURN format('tz: unknown time zone %s', s.tz);
  END;
  images := CASE jsonb_typeof(s.message_images) WHEN 'array' THEN jsonb_array_length(s.message_images)
                 WHEN 'object' THEN coalesce(jsonb_array_length(nullif(s.message_images -> 'images', 'null'::jsonb)), 0) ELSE 0 END;
  IF s.send_order IN ('text_only', 'text_first', 'images_first') AND coalesce(btrim(s.message_text), '') = '' THEN
    RETURN format('message_text: send_order %s needs a text', s.send_order); END IF;
  IF s.send_order = 'images_only' AND images = 0 THEN RETURN 'message_images: send_order images_only needs at least one image'; END IF;
  IF jsonb_typeof(s.message_images) NOT IN ('array', 'object', 'null') THEN RETURN 'message_images: neither a list of images nor empty'; END IF;
  IF images > 10 THEN RETURN format('message_images: at most 10 images, not %s', images); END IF;
  SELECT * INTO room FROM rooms r WHERE r.room_id = s.target_room_id;
  IF FOUND AND room.type <> s.target_room_type THEN
    RETURN format('target_room_type: room %s is a %s room, not %s', s.target_room_id, room.type, s.target_room_type); END IF;
  RETURN NULL;
EXCEPTION WHEN data_exception THEN RETURN format('message_images: cannot be read (%s)', SQLERRM);
END $$;

-- Columns whose change makes a new version. Title, description and the counters do not.
CREATE OR REPLACE FUNCTION schedule_edited(o kb_schedule, n kb_schedule) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT (o.target_room_id, o.target_room_type, o.message_text, o.message_images, o.send_order, o.send_interval_seconds,
          o.schedule_type, o.schedule_date, o.schedule_time, o.schedule_weekdays, o.peak_hours, o.cron_expr, o.rules, o.tz,
          o.valid_from, o.valid_until, o.misfire, o.grace_seconds, o.validity_seconds, o.priority, o.deleted_at)
      IS DISTINCT FROM
         (n.target_room_id, n.target_room_type, n.message_text, n.message_images, n.send_order, n.send_interval_seconds,
          n.schedule_type, n.schedule_date, n.schedule_time, n.schedule_weekdays, n.peak_hours, n.cron_expr, n.rules, n.tz,
          n.valid_from, n.valid_until, n.misfire, n.grace_seconds, n.validity_seconds, n.priority, n.deleted_at)
      OR (o.status <> n.status AND NOT (o.status = 'active' AND n.status = 'completed' AND n.schedule_type = 'once')) $$;

CREATE OR REPLACE FUNCTION kb_schedule_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE problem text;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.id <> OLD.id THEN
      RAISE EXCEPTION 'kb_schedule % : a schedule keeps its id, its slots are known by it', OLD.id USING ERRCODE = 'check_violation'; END IF;
    NEW.version := OLD.version;
    IF NOT schedule_edited(OLD, NEW) THEN
      IF (OLD.title, OLD.description) IS DISTINCT FROM (NEW.title, NEW.description) THEN NEW.updated_at := ledger_now(); END IF;
      RETURN NEW;
    END IF;
    NEW.version := OLD.version + 1; NEW.updated_at := ledger_now();
  ELSE
    NEW.version := 1;
    -- valid_from left out: a one-off for this second, or just past, lies before now() and is promised all the same.
    IF NEW.schedule_type = 'once' AND NEW.valid_from = now() THEN NEW.valid_from := now() - make_interval(secs => NEW.grace_seconds); END IF;
  END IF;
  IF NEW.deleted_at IS NOT NULL AND NEW.status = 'active' THEN NEW.status := 'inactive'; END IF;
  -- An edit of what could not be read is looked at anew: mended, the schedule goes on by itself.
  IF TG_OP = 'UPDATE' AND OLD.status = 'error' AND NEW.status = 'error' AND NEW.deleted_at IS NULL THEN NEW.status := 'active'; END IF;
  IF NEW.status = 'active' THEN
    problem := schedule_problem(NEW);
    NEW.error_reason := problem;
    IF problem IS NOT NULL THEN NEW.status := 'error'; END IF;
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION schedule_enabled(s kb_schedule) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT s.status = 'active' AND s.deleted_at IS NULL $$;

CREATE OR REPLACE FUNCTION kb_schedule_after() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); on_ boolean := schedule_enabled(NEW); room bigint; rules_ jsonb := schedule_rules(NEW); start_ timestamptz;
BEGIN
  SELECT id INTO room FROM rooms WHERE room_id = NEW.target_room_id;
  IF TG_OP = 'UPDATE' THEN
    -- The edit's time is read once its rows are locked: a worker that held a slot meanwhile has passed, or not, before it. Read earlier, a
    -- slot would have gone out by the old version whose instant lies after the edit. Lock order: the schedule's clock, then its slots.
    PERFORM 1 FROM schedule_clock WHERE schedule_id = NEW.id FOR UPDATE;
    PERFORM 1 FROM slots WHERE schedule_id = NEW.id AND ended_at IS NULL ORDER BY slot_at FOR UPDATE;
    t := greatest(ledger_now(), (SELECT version_from FROM schedule_clock WHERE schedule_id = NEW.id));
  END IF;
  INSERT INTO kb_schedule_history (schedule_id, version, valid_from, who, op, row, clock)
    VALUES (NEW.id, NEW.version, t, ledger_who(), CASE WHEN NEW.deleted_at IS NOT NULL THEN 'delete' ELSE lower(TG_OP) END,
            to_jsonb(NEW) - ARRAY['last_sent_at', 'next_send_at', 'send_count'],
            jsonb_build_object('rules', rules_, 'tz', NEW.tz, 'enabled', on_, 'valid_from', NEW.valid_from, 'valid_until', NEW.valid_until,
              'grace_s', NEW.grace_seconds, 'validity_s', NEW.validity_seconds, 'misfire', NEW.misfire, 'priority', NEW.priority, 'room_ref', room));
  IF TG_OP = 'INSERT' THEN
    -- A one-off (an immediate message is one, too) whose instant is now, or past but within grace, is promised too.
    start_ := t - CASE WHEN jsonb_path_exists(rules_, '$[*] ? (@.kind != "once" && @.kind != "at")') THEN interval '0' ELSE make_interval(secs => NEW.grace_seconds) END;
    INSERT INTO schedule_clock (schedule_id, kind, rules, tz, version, version_from, planned_to, enabled, valid_from, valid_until, grace_s, validity_s, misfire, priority, room_ref)
      VALUES (NEW.id, 'message', rules_, NEW.tz, NEW.version, t, CASE WHEN on_ THEN start_ END, on_, NEW.valid_from, NEW.valid_until,
              NEW.grace_seconds, NEW.validity_seconds, NEW.misfire, NEW.priority, room);
  ELSE
    UPDATE schedule_clock SET rules = rules_, tz = NEW.tz, version = NEW.version, version_from = t, enabled = on_, valid_from = NEW.valid_from, valid_until = NEW.valid_until,
        grace_s = NEW.grace_seconds, validity_s = NEW.validity_seconds, misfire = NEW.misfire, priority = NEW.priority, room_ref = room,
        planned_to = coalesce(planned_to, CASE WHEN on_ THEN t END), replan_from = CASE WHEN on_ OR planned_to IS NOT NULL THEN least(replan_from, t) END
      WHERE schedule_id = NEW.id;
    PERFORM schedule_edit_slots(OLD, NEW, t);
  END IF;
  -- Beats tick every second by themselves: a one-off further ahead than that need not wake them, a burst of those would be felt.
  IF (CASE WHEN TG_OP = 'INSERT' AND on_ AND NEW.schedule_type = 'once' THEN (NEW.schedule_date + NEW.schedule_time) AT TIME ZONE NEW.tz < t + interval '3 s' ELSE true END) THEN
    PERFORM pg_notify('jeongsi_schedule', '');
  END IF;
  RETURN NULL;
END $$;

-- What an edit at `t` does to slots that are already laid down, locked by the caller (design.md section 6, "No instant without a row").
CREATE OR REPLACE FUNCTION schedule_edit_slots(o kb_schedule, n kb_schedule, t timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE why text;
BEGIN
  DELETE FROM slots WHERE schedule_id = n.id AND origin = 'plan' AND slot_at > t AND ended_at IS NULL AND exposed = 0;
  why := CASE WHEN n.deleted_at IS NOT NULL THEN 'deleted' WHEN n.status = 'error' THEN 'schedule_error' WHEN NOT schedule_enabled(n) THEN 'paused'
              WHEN n.target_room_id <> o.target_room_id AND EXISTS (SELECT 1 FROM rooms r WHERE r.room_id = o.target_room_id) THEN 'room_changed' END;   -- else the room was renamed
  IF why IS NOT NULL THEN
    UPDATE slots SET state = 'cancelled', reason = why, ended_at = ledger_now(), owner = NULL, lease_until = NULL, republish_at = NULL, fence = fence + 1
     WHERE schedule_id = n.id AND ended_at IS NULL AND exposed = 0;
    IF why = 'deleted' THEN UPDATE slots SET cancel_requested = true WHERE schedule_id = n.id AND ended_at IS NULL AND phase = 'send'; END IF;
  ELSE
    UPDATE slots SET content_version = n.version WHERE schedule_id = n.id AND ended_at IS NULL AND exposed = 0 AND origin = 'plan';
  END IF;
END $$;

-- Deleting a schedule keeps its proof of sends (ruling 4): it becomes a soft delete.
CREATE OR REPLACE FUNCTION kb_schedule_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE kb_schedule SET deleted_at = ledger_now(), status = 'inactive' WHERE id = OLD.id AND deleted_at IS NULL;
  RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER kb_schedule_before BEFORE INSERT OR UPDATE ON kb_schedule FOR EACH ROW EXECUTE FUNCTION kb_schedule_before();
CREATE OR REPLACE TRIGGER kb_schedule_after AFTER INSERT ON kb_schedule FOR EACH ROW EXECUTE FUNCTION kb_schedule_after();
-- The beat's counters change many rows at once and make no new version.
CREATE OR REPLACE TRIGGER kb_schedule_after_edit AFTER UPDATE ON kb_schedule FOR EACH ROW WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION kb_schedule_after();
CREATE OR REPLACE TRIGGER kb_schedule_delete BEFORE DELETE ON kb_schedule FOR EACH ROW EXECUTE FUNCTION kb_schedule_delete();

-- Who writes kb_schedule needs rights on it alone: what follows from the write is done with the owner's rights. The search path is
-- fixed with pg_temp last, so that nobody can put a table of his own in the way.
DO $$
DECLARE f text;
BEGIN
  FOREACH f IN ARRAY ARRAY['kb_schedule_before()', 'kb_schedule_after()', 'kb_schedule_delete()'] LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', f, current_schema());
  END LOOP;
END $$;

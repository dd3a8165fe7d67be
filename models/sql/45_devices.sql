-- Devices that carry one message at a time: who waits, who is next, and which message on a device is whose.

-- Is it worth asking the device for this slot? 0: try. Else the milliseconds to wait, and the slot is noted among those who wait for it.
-- Spares a worker the questions that come before the point of no return; decides nothing. `p_busy`: the worker itself knows that it is taken.
CREATE OR REPLACE FUNCTION device_wait(p_sid bigint, p_sat timestamptz, p_fence bigint, p_owner uuid, p_device text, p_busy boolean) RETURNS double precision
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE t timestamptz := ledger_now(); free timestamptz;
BEGIN
  SELECT g.free_at INTO free FROM device_gate g WHERE g.device = p_device AND (g.holder_schedule, g.holder_slot) IS DISTINCT FROM (p_sid, p_sat);
  IF NOT p_busy AND (free IS NULL OR free <= t) THEN RETURN 0; END IF;
  UPDATE slots s SET device = p_device WHERE s.schedule_id = p_sid AND s.slot_at = p_sat AND s.state = 'leased' AND s.fence = p_fence AND s.owner = p_owner AND s.device IS DISTINCT FROM p_device;
  RETURN least(greatest(coalesce(extract(epoch FROM free - t)::float8 * 1000, 0), 200) + 50 * device_line(p_device), 5000);
END $$;

-- How many wait for this device, 90 at most. Whoever joins a long line looks again later: who frees the device calls the first one anyway,
-- and a hundred rooms that look twice a second keep the workers busier than the device.
CREATE OR REPLACE FUNCTION device_line(p_device text) RETURNS int LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN (SELECT count(*) FROM (SELECT 1 FROM slots s WHERE s.device = p_device AND s.state IN ('waiting', 'queued', 'leased') AND s.wait_reason = 'device_busy' LIMIT 90) w);
END $$;

-- The first who waits for a free device, queued for the worker that asks, so that a device never idles until a beat looks. None: nobody waits, or it is taken.
CREATE OR REPLACE FUNCTION device_next(p_device text, p_again interval) RETURNS TABLE (sid bigint, sat timestamptz) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE t timestamptz := ledger_now();
BEGIN
  IF EXISTS (SELECT 1 FROM device_gate g WHERE g.device = p_device AND g.free_at > t) THEN RETURN; END IF;
  RETURN QUERY WITH c AS (SELECT s.schedule_id, s.slot_at FROM slots s WHERE s.device = p_device AND s.state IN ('waiting', 'queued', 'leased') AND s.wait_reason = 'device_busy'
      AND s.state IN ('waiting', 'queued') AND s.phase = 'send' AND s.finish_by > t ORDER BY s.priority, s.slot_at, s.schedule_id LIMIT 1 FOR UPDATE SKIP LOCKED)
    UPDATE slots s SET state = 'queued', not_before = least(s.not_before, t), republish_at = t + p_again FROM c WHERE s.schedule_id = c.schedule_id AND s.slot_at = c.slot_at
    RETURNING s.schedule_id, s.slot_at;
END $$;

-- This attempt says that these messages on the device are its own. False: another attempt said so of one of them, or may yet, and nothing
-- was noted. May yet: another slot has taken the room since, and a message is newer than what that one found in the room when it began.
CREATE OR REPLACE FUNCTION message_claim(p_device text, p_ids text[], p_attempt uuid, p_sid bigint, p_sat timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE added text[]; began bigint;
BEGIN
  SELECT min((a.baseline ->> 'last_id')::bigint) INTO began FROM slots s JOIN room_gate g ON g.room_ref = s.room_ref
    JOIN attempts a ON a.schedule_id = g.holder_schedule AND a.slot_at = g.holder_slot
   WHERE s.schedule_id = p_sid AND s.slot_at = p_sat AND (g.holder_schedule, g.holder_slot) <> (p_sid, p_sat);
  IF EXISTS (SELECT 1 FROM unnest(p_ids) x(id) WHERE x.id ~ '^[0-9]{1,18}$' AND x.id::bigint > began) THEN RETURN false; END IF;
  WITH n AS (INSERT INTO device_messages (device, message_id, attempt_id) SELECT p_device, x.id, p_attempt FROM unnest(p_ids) x(id) ORDER BY x.id ON CONFLICT DO NOTHING RETURNING message_id)
  SELECT array_agg(n.message_id) INTO added FROM n;
  IF EXISTS (SELECT 1 FROM device_messages m WHERE m.device = p_device AND m.message_id = ANY (p_ids) AND m.attempt_id <> p_attempt) THEN
    DELETE FROM device_messages m WHERE m.device = p_device AND m.message_id = ANY (added);
    RETURN false;
  END IF;
  RETURN true;
END $$;

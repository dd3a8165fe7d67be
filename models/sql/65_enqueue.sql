-- What other services ask for: one message, now or once later. Celery tasks and plain SQL come through the same functions, so that
-- there is one truth. Bad input never raises: it is a result, {"id", "status", "duplicate_of", "errors": [{"field", "reason", "right"}]}.

-- One thing that is wrong with a request, as a list of one.
CREATE OR REPLACE FUNCTION enqueue_wrong(p_field text, p_reason text, p_right text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_array(jsonb_build_object('field', p_field, 'reason', p_reason, 'right', p_right)) $$;

CREATE OR REPLACE FUNCTION enqueue_answer(p_status text, p_id text, p_of text, p_errors jsonb DEFAULT '[]') RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object('id', p_id, 'status', p_status, 'duplicate_of', p_of, 'errors', p_errors) $$;

-- A value as an error may show it: whole if it is short, never megabytes.
CREATE OR REPLACE FUNCTION enqueue_shown(p_value jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN length(v) > 60 THEN left(v, 60) || '…' ELSE v END FROM (SELECT p_value::text AS v) x $$;

-- Whether a text shows nothing. The same white space as Python's strip, because workers decide by that.
CREATE OR REPLACE FUNCTION enqueue_blank(p_text text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT btrim(coalesce(p_text, ''), E' \t\n\r\f\u000b\u001c\u001d\u001e\u001f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000') = '' $$;

-- The number of a priority: 0 to 9, or a word (A30). NULL: it is none.
CREATE OR REPLACE FUNCTION enqueue_priority(p_value jsonb) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_value IS NULL THEN 5 WHEN p_value = '"high"' THEN 2 WHEN p_value = '"normal"' THEN 5 WHEN p_value = '"low"' THEN 8
              WHEN p_value IN ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9') THEN p_value::int END::smallint $$;

-- Whether a value is a whole number within bounds; true, "1" and 1.5 are none.
CREATE OR REPLACE FUNCTION enqueue_whole(p_value jsonb, p_low bigint, p_high bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN jsonb_typeof(p_value) = 'number' THEN p_value::numeric = trunc(p_value::numeric) AND p_value::numeric BETWEEN p_low AND p_high ELSE false END $$;

-- What is wrong with the shape of a request: everything that needs no look into a table.
CREATE OR REPLACE FUNCTION enqueue_shape(q jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  e jsonb := '[]'; f text; words text := q ->> 'text'; n int; long record;
  known CONSTANT text[] := ARRAY['room', 'text', 'images', 'at', 'title', 'send_order', 'interval', 'grace', 'validity', 'priority', 'channel', 'room_type', 'tz', 'metadata', 'idempotency_key'];
BEGIN
  IF jsonb_typeof(q) IS DISTINCT FROM 'object' THEN RETURN enqueue_wrong('request', format('%s is no JSON object', coalesce(enqueue_shown(q), 'nothing')), '{"room": "…", "text": "…"}'); END IF;
  FOR f IN SELECT k FROM jsonb_object_keys(q) k WHERE k <> ALL (known) ORDER BY k LIMIT 20 LOOP
    e := e || enqueue_wrong(left(f, 60), 'there is no such field', 'one of ' || array_to_string(known, ', '));
  END LOOP;
  FOREACH f IN ARRAY ARRAY['room', 'text', 'at', 'title', 'send_order', 'channel', 'room_type', 'tz', 'idempotency_key'] LOOP
    IF jsonb_typeof(q -> f) <> 'string' THEN
      e := e || enqueue_wrong(f, format('%s is no text', enqueue_shown(q -> f)), 'a JSON string'); q := q - f; END IF;
  END LOOP;
  IF NOT q ? 'room' AND NOT jsonb_path_exists(e, '$[*] ? (@.field == "room")') THEN e := e || enqueue_wrong('room', 'it is missing', 'the room''s id, for instance hq-alerts'); END IF;
  FOR long IN SELECT * FROM (VALUES ('room', 100), ('title', 255), ('idempotency_key', 200), ('channel', 255), ('at', 40), ('tz', 64)) x(field, most) LOOP
    IF q ? long.field AND (enqueue_blank(q ->> long.field) OR length(q ->> long.field) > long.most) THEN
      e := e || enqueue_wrong(long.field, CASE WHEN enqueue_blank(q ->> long.field) THEN 'it is empty' ELSE format('it has %s characters', length(q ->> long.field)) END, format('1 to %s characters', long.most)); END IF;
  END LOOP;
  IF q ? 'text' THEN
    n := length(words);
    IF n <= 10000 THEN   -- as sent: these two placeholders grow when they are filled in (A33)
      n := n + 4 * ((n - length(replace(words, '{date}', ''))) / 6) + 6 * ((n - length(replace(words, '{datetime}', ''))) / 10); END IF;
    IF n > 10000 THEN e := e || enqueue_wrong('text', format('the text has %s characters', n), 'at most 10000'); END IF;
  END IF;
  IF q ? 'send_order' AND q ->> 'send_order' NOT IN ('text_first', 'images_first', 'images_only', 'text_only') THEN
    e := e || enqueue_wrong('send_order', format('there is no send order %s', enqueue_shown(q -> 'send_order')), 'text_first, images_first, images_only or text_only'); END IF;
  IF q ? 'room_type' AND q ->> 'room_type' NOT IN ('live', 'test') THEN
    e := e || enqueue_wrong('room_type', format('there is no room type %s', enqueue_shown(q -> 'room_type')), 'live or test'); END IF;
  IF q ? 'interval' AND NOT enqueue_whole(q -> 'interval', 0, 3600) THEN
    e := e || enqueue_wrong('interval', format('%s is not an interval', enqueue_shown(q -> 'interval')), 'whole seconds, 0 to 3600'); END IF;
  IF q ? 'grace' AND NOT enqueue_whole(q -> 'grace', 0, 86400) THEN
    e := e || enqueue_wrong('grace', format('%s is not a grace', enqueue_shown(q -> 'grace')), 'whole seconds, 0 to 86400'); END IF;
  IF q ? 'validity' AND q -> 'validity' <> '"auto"' AND NOT enqueue_whole(q -> 'validity', 30, 604800) THEN
    e := e || enqueue_wrong('validity', format('%s is not a validity', enqueue_shown(q -> 'validity')), '"auto", or whole seconds, 30 to 604800'); END IF;
  IF enqueue_priority(q -> 'priority') IS NULL THEN
    e := e || enqueue_wrong('priority', format('%s is not a priority', enqueue_shown(q -> 'priority')), '0 to 9 (0 goes first), or "high", "normal", "low"'); END IF;
  IF jsonb_typeof(q -> 'metadata') <> 'object' THEN
    e := e || enqueue_wrong('metadata', format('%s is not an object', enqueue_shown(q -> 'metadata')), 'a JSON object of at most 8192 bytes');
  ELSIF octet_length((q -> 'metadata')::text) > 8192 THEN
    e := e || enqueue_wrong('metadata', format('it has %s bytes', octet_length((q -> 'metadata')::text)), 'a JSON object of at most 8192 bytes'); END IF;
  IF jsonb_typeof(q -> 'images') <> 'array' THEN
    e := e || enqueue_wrong('images', format('%s is not a list', enqueue_shown(q -> 'images')), 'a list such as [{"id": 17}]');
  ELSIF jsonb_array_length(q -> 'images') > 10 THEN
    e := e || enqueue_wrong('images', format('there are %s images', jsonb_array_length(q -> 'images')), 'at most 10'); END IF;
  RETURN e;
END $$;

-- What to send, given the number of images: the order, and what is missing for it.
CREATE OR REPLACE FUNCTION enqueue_order(q jsonb, p_images int, OUT send_order text, OUT errors jsonb) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  errors := '[]';
  send_order := coalesce(q ->> 'send_order', CASE WHEN p_images = 0 THEN 'text_only' WHEN enqueue_blank(q ->> 'text') THEN 'images_only' ELSE 'text_first' END);
  IF send_order <> 'images_only' AND enqueue_blank(q ->> 'text') THEN
    errors := errors || enqueue_wrong('text', send_order || ' needs a text', CASE WHEN q ? 'send_order' THEN 'give a text, or choose images_only' ELSE 'give a text or an image' END); END IF;
  IF send_order <> 'text_only' AND p_images = 0 THEN
    errors := errors || enqueue_wrong('images', send_order || ' needs at least one image', 'give an image, or choose text_only'); END IF;
END $$;

-- The instant asked for, in whole milliseconds (finer ones are rounded up, so never early); nothing given: now.
CREATE OR REPLACE FUNCTION enqueue_instant(p_at text, p_grace int, p_now timestamptz, OUT at timestamptz, OUT errors jsonb) LANGUAGE plpgsql STABLE AS $$
DECLARE shape CONSTANT text := '^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?'; hint text := to_char(p_now AT TIME ZONE 'Asia/Seoul' + interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SS"+09:00"');
BEGIN
  errors := '[]';
  IF p_at IS NULL THEN at := p_now;
  ELSIF p_at ~ (shape || '$') THEN
    errors := enqueue_wrong('at', format('%s has no offset', p_at), format('say of which zone, for instance %s+09:00', regexp_replace(p_at, '[t ]', 'T'))); RETURN;
  ELSIF p_at !~ (shape || '([Zz]|[+-]\d\d(:?\d\d)?)$') THEN
    errors := enqueue_wrong('at', format('%s is not a time', to_jsonb(left(p_at, 60))), format('ISO 8601 with an offset, for instance %s, or leave it out for now', hint)); RETURN;
  ELSE
    BEGIN
      at := p_at::timestamptz;
    EXCEPTION WHEN data_exception THEN
      errors := enqueue_wrong('at', format('%s is no time that exists', p_at), format('for instance %s', hint)); RETURN;
    END;
  END IF;
  IF at <> date_trunc('milliseconds', at) THEN at := date_trunc('milliseconds', at) + interval '1 ms'; END IF;
  IF at < p_now - make_interval(secs => p_grace) THEN
    errors := enqueue_wrong('at', format('%s is past by more than the grace of %s s', p_at, p_grace), format('a later time, for instance %s, or leave it out for now', hint));
  ELSIF at >= '2999-12-30 00:00:00+00' THEN
    errors := enqueue_wrong('at', format('%s is out of range', p_at), 'a time before the year 3000'); END IF;
END $$;

-- A zone that Python's tz data and Postgres both know. It fills {time} and {date} in; the instant itself is `at`.
CREATE OR REPLACE FUNCTION enqueue_zone(p_tz text, p_at timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_tz IN ('Asia/Seoul', 'UTC') THEN RETURN '[]'; END IF;
  IF p_tz !~ '^[A-Z][A-Za-z]+/[A-Za-z0-9_+/-]+$' OR NOT EXISTS (SELECT 1 FROM pg_timezone_names WHERE name = p_tz) THEN
    RETURN enqueue_wrong('tz', format('there is no time zone %s', p_tz), 'an IANA name such as Asia/Seoul'); END IF;
  -- The wall clock is what the schedule keeps: the second of two equal ones would be taken for the first.
  IF (SELECT bool_or((p_at - d) AT TIME ZONE p_tz = p_at AT TIME ZONE p_tz) FROM unnest(ARRAY[interval '30 min', interval '1 hour', interval '2 hours']) d) THEN
    RETURN enqueue_wrong('tz', format('that wall clock time comes twice in %s', p_tz), 'UTC for this one message'); END IF;
  RETURN '[]';
END $$;

-- Stored images by id, sha256 or file name, as `message_images` lists them, in the order asked for.
CREATE OR REPLACE FUNCTION enqueue_images(p_images jsonb, OUT images jsonb, OUT errors jsonb) LANGUAGE plpgsql STABLE AS $$
DECLARE one jsonb; f text; n int := 0; held images%ROWTYPE; how text;
BEGIN
  images := '[]'; errors := '[]';
  FOR one IN SELECT * FROM jsonb_array_elements(p_images) LOOP
    f := format('images[%s]', n); n := n + 1; held := NULL;
    how := CASE WHEN jsonb_typeof(one) <> 'object' THEN NULL WHEN (SELECT count(*) FROM jsonb_object_keys(one)) <> 1 THEN NULL
                WHEN enqueue_whole(one -> 'id', 1, 999999999999999999) THEN 'id' WHEN jsonb_typeof(one -> 'sha256') = 'string' THEN 'sha256' WHEN jsonb_typeof(one -> 'filename') = 'string' THEN 'filename' END;
    IF how = 'id' THEN SELECT i.id, i.filename, i.original_name, i.mime_type, i.file_size INTO held.id, held.filename, held.original_name, held.mime_type, held.file_size FROM images i WHERE i.id = (one -> 'id')::numeric::bigint;
    ELSIF how = 'sha256' THEN SELECT i.id, i.filename, i.original_name, i.mime_type, i.file_size INTO held.id, held.filename, held.original_name, held.mime_type, held.file_size FROM images i WHERE i.sha256 = lower(one ->> 'sha256') ORDER BY i.id LIMIT 1;
    ELSIF how = 'filename' THEN SELECT i.id, i.filename, i.original_name, i.mime_type, i.file_size INTO held.id, held.filename, held.original_name, held.mime_type, held.file_size FROM images i WHERE i.filename = one ->> 'filename'; END IF;
    IF how IS NULL THEN
      errors := errors || enqueue_wrong(f, format('%s names no image', enqueue_shown(one)), 'one of {"id": 17}, {"sha256": "…"}, {"filename": "promotion_20250714_001.jpg"}');
    ELSIF held.id IS NULL THEN
      errors := errors || enqueue_wrong(f, format('no image with %s is stored', enqueue_shown(one)), 'store it first, then name it');
    ELSIF held.mime_type NOT IN ('image/jpeg', 'image/png', 'image/gif', 'image/webp') THEN
      errors := errors || enqueue_wrong(f, format('%s is %s', held.filename, held.mime_type), 'JPEG, PNG, GIF or WebP');
    ELSE
      images := images || jsonb_build_object('id', held.id, 'filename', held.filename, 'original_name', held.original_name, 'mime_type', held.mime_type, 'file_size', held.file_size);
    END IF;
  END LOOP;
END $$;

-- Rooms that a wrong name may have meant: those that share the most pairs of letters with it.
CREATE OR REPLACE FUNCTION enqueue_near(p_room text) RETURNS text LANGUAGE sql STABLE AS $$
  WITH p AS (SELECT DISTINCT substr(lower(p_room), g, 2) AS pair FROM generate_series(1, greatest(length(p_room) - 1, 1)) g),
  near AS (SELECT r.room_id, 2.0 * count(p.pair) / (count(*) + (SELECT count(*) FROM p)) AS likeness
             FROM (SELECT room_id FROM rooms ORDER BY id LIMIT 5000) r
             CROSS JOIN LATERAL (SELECT DISTINCT substr(lower(r.room_id), g, 2) AS pair FROM generate_series(1, greatest(length(r.room_id) - 1, 1)) g) w
             LEFT JOIN p ON p.pair = w.pair GROUP BY r.room_id)
  SELECT string_agg(room_id, ' or ' ORDER BY likeness DESC, room_id) FROM (SELECT * FROM near WHERE likeness >= 0.5 ORDER BY likeness DESC, room_id LIMIT 3) x $$;

-- The room, and what speaks against it.
CREATE OR REPLACE FUNCTION enqueue_room(q jsonb, OUT room rooms, OUT errors jsonb) LANGUAGE plpgsql STABLE AS $$
BEGIN
  errors := '[]';
  SELECT r.* INTO room FROM rooms r WHERE r.room_id = q ->> 'room';
  IF NOT FOUND THEN
    errors := enqueue_wrong('room', format('there is no room %s', q -> 'room'), coalesce('did you mean ' || enqueue_near(q ->> 'room') || '?', 'a room''s id, as `jeongsi room list` shows it')); RETURN; END IF;
  IF q ->> 'room_type' IN ('live', 'test') AND q ->> 'room_type' <> room.type THEN
    errors := errors || enqueue_wrong('room_type', format('%s is a %s room', room.room_id, room.type), format('%s, or another room', room.type)); END IF;
  IF q ->> 'channel' <> room.channel THEN
    errors := errors || enqueue_wrong('channel', format('%s is reached by channel %s', room.room_id, room.channel), format('%s, or leave it out', room.channel)); END IF;
END $$;

-- Content as the window of hashes knows it: what is said, and when (an instant in Unix milliseconds, or a schedule's rules as text).
CREATE OR REPLACE FUNCTION content_hash(p_text text, p_images bigint[], p_when text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(jsonb_build_array(p_text, p_images, p_when)::text, 'UTF8')), 'hex') $$;

-- Remember content for a schedule. NULL: it is remembered now; else the id that has it. A message that was called off frees its content.
-- Waits for an open transaction that remembers the same. The window of a room keeps its newest p_limit (A59).
CREATE OR REPLACE FUNCTION take_content(p_room bigint, p_hash text, p_sid bigint, p_at timestamptz, p_limit int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE h message_hashes%ROWTYPE;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM rooms WHERE id = p_room) THEN RETURN NULL; END IF;
  LOOP
    INSERT INTO message_hashes (room_ref, hash, schedule_id, slot_at, created_at) VALUES (p_room, p_hash, p_sid, p_at, ledger_now()) ON CONFLICT (room_ref, hash) DO NOTHING;
    IF FOUND THEN
      -- Skip locked rows: nobody waits for a stranger's open transaction only to tidy up.
      DELETE FROM message_hashes WHERE id IN (SELECT id FROM message_hashes WHERE room_ref = p_room
        AND id <= (SELECT id FROM message_hashes WHERE room_ref = p_room ORDER BY id DESC OFFSET p_limit LIMIT 1) FOR UPDATE SKIP LOCKED);
      RETURN NULL;
    END IF;
    SELECT * INTO h FROM message_hashes WHERE room_ref = p_room AND hash = p_hash;
    CONTINUE WHEN NOT FOUND;
    IF NOT content_called_off(h.schedule_id, h.slot_at) THEN RETURN coalesce(slot_public_id(h.schedule_id, h.slot_at), h.schedule_id::text); END IF;
    UPDATE message_hashes SET schedule_id = p_sid, slot_at = p_at, created_at = ledger_now() WHERE id = h.id AND schedule_id = h.schedule_id;
    IF FOUND THEN RETURN NULL; END IF;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION content_called_off(p_sid bigint, p_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (SELECT 1 FROM kb_schedule WHERE id = p_sid AND deleted_at IS NULL)
      OR (p_at IS NOT NULL AND EXISTS (SELECT 1 FROM slots WHERE schedule_id = p_sid AND slot_at = p_at AND state = 'cancelled')) $$;

-- What a key already stands for: the answer, or NULL if it is free.
CREATE OR REPLACE FUNCTION enqueue_known(p_scope text, p_key text, p_body text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE k enqueue_keys%ROWTYPE; id text;
BEGIN
  SELECT * INTO k FROM enqueue_keys WHERE scope = p_scope AND key = p_key;
  IF NOT FOUND THEN RETURN NULL; END IF;
  id := slot_public_id(k.schedule_id, k.slot_at);
  IF k.body_hash = p_body THEN RETURN enqueue_answer('duplicate', id, id); END IF;
  RETURN enqueue_answer('refused', NULL, id, enqueue_wrong('idempotency_key', 'it was used for another message', 'a key of its own for each message'));
END $$;

-- The work itself, in the caller's transaction. p_task: the Celery task's id, the key of a request without one. p_hash_limit and p_grace: this
-- installation's settings; a database without them (ALTER DATABASE … SET jeongsi.hash_limit = 50) uses 100 and 300 s.
CREATE OR REPLACE FUNCTION enqueue_message(p_request jsonb, p_task text DEFAULT NULL, p_hash_limit int DEFAULT NULL, p_grace int DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  t timestamptz := ledger_now(); q jsonb; e jsonb; body text; answer jsonb; scope_ text; key_ text; wrong text[];
  r record; i record; m record; o record; sid bigint; at timestamptz; wall timestamp; tz_ text; grace_ int; taken text; made record;
BEGIN
  IF jsonb_typeof(p_request) IS DISTINCT FROM 'object' THEN
    RETURN enqueue_answer('refused', NULL, NULL, enqueue_shape(p_request)); END IF;
  SELECT coalesce(jsonb_object_agg(key, value) FILTER (WHERE value <> 'null'), '{}') INTO q FROM jsonb_each(p_request);
  e := enqueue_shape(q);
  SELECT coalesce(array_agg(split_part(x ->> 'field', '[', 1)), '{}') INTO wrong FROM jsonb_array_elements(e) x;
  IF q ? 'idempotency_key' THEN scope_ := 'key'; key_ := q ->> 'idempotency_key'; ELSE scope_ := 'task'; key_ := left(p_task, 200); END IF;
  IF e = '[]' AND key_ IS NOT NULL THEN   -- before anything that time or people may have changed since: a retry is answered as the first try was
    body := encode(sha256(convert_to((q - 'idempotency_key')::text, 'UTF8')), 'hex');
    answer := enqueue_known(scope_, key_, body);
    IF answer IS NOT NULL THEN RETURN answer; END IF;
  END IF;
  grace_ := CASE WHEN 'grace' = ANY (wrong) THEN 86400 ELSE coalesce((q -> 'grace')::int, p_grace, nullif(current_setting('jeongsi.grace_s', true), '')::int, 300) END;
  tz_ := CASE WHEN 'tz' = ANY (wrong) THEN 'UTC' ELSE coalesce(q ->> 'tz', 'Asia/Seoul') END;
  IF NOT 'room' = ANY (wrong) THEN SELECT * INTO r FROM enqueue_room(q); e := e || r.errors; END IF;
  SELECT * INTO m FROM enqueue_images(CASE WHEN 'images' = ANY (wrong) THEN '[]' ELSE coalesce(q -> 'images', '[]') END); e := e || m.errors;
  IF NOT wrong && ARRAY['images', 'text', 'send_order'] THEN
    SELECT * INTO o FROM enqueue_order(q, coalesce(jsonb_array_length(q -> 'images'), 0)); e := e || o.errors; END IF;
  IF NOT 'at' = ANY (wrong) THEN
    SELECT * INTO i FROM enqueue_instant(q ->> 'at', grace_, t); e := e || i.errors; at := i.at;
  END IF;
  e := e || enqueue_zone(tz_, at);
  IF e <> '[]' THEN RETURN enqueue_answer('refused', NULL, NULL, e); END IF;

  sid := nextval('schedule_id_seq');
  IF key_ IS NOT NULL THEN   -- waits for an open transaction that has the same key: exactly one wins, and a rolled-back winner frees it
    LOOP
      INSERT INTO enqueue_keys (scope, key, body_hash, schedule_id, slot_at, created_at, keep_from) VALUES (scope_, key_, body, sid, at, t, greatest(t, at)) ON CONFLICT DO NOTHING;
      EXIT WHEN FOUND;
      answer := enqueue_known(scope_, key_, body);
      IF answer IS NOT NULL THEN RETURN answer; END IF;
    END LOOP;
  END IF;
  taken := take_content((r.room).id, content_hash(CASE WHEN o.send_order <> 'images_only' THEN q ->> 'text' END,
      CASE WHEN o.send_order <> 'text_only' THEN ARRAY(SELECT (x ->> 'id')::bigint FROM jsonb_array_elements(m.images) x) END, (extract(epoch FROM at) * 1000)::bigint::text),
    sid, at, greatest(1, coalesce(p_hash_limit, nullif(current_setting('jeongsi.hash_limit', true), '')::int, 100)));
  IF taken IS NOT NULL AND scope_ <> 'key' THEN
    DELETE FROM enqueue_keys WHERE scope = scope_ AND key = key_;
    RETURN enqueue_answer('refused', NULL, taken, enqueue_wrong('text', 'the same content for the same room and time was accepted before', 'give an idempotency_key of its own if it is meant twice'));
  END IF;
  wall := at AT TIME ZONE tz_;
  INSERT INTO kb_schedule (id, title, target_room_id, target_room_type, message_text, message_images, send_order, send_interval_seconds, schedule_type, schedule_date, schedule_time,
      tz, valid_from, grace_seconds, validity_seconds, priority, origin, metadata)
    VALUES (sid, coalesce(q ->> 'title', CASE WHEN enqueue_blank(q ->> 'text') THEN '이미지' ELSE btrim(left(regexp_replace(btrim(q ->> 'text', E' \t\r\n'), '\s+', ' ', 'g'), 60)) END),
      (r.room).room_id, (r.room).type, q ->> 'text', nullif(m.images, '[]'), o.send_order, coalesce((q -> 'interval')::int, 1), 'once', wall::date, wall::time,
      tz_, least(t, at), grace_, CASE WHEN q -> 'validity' <> '"auto"' THEN (q -> 'validity')::int END, enqueue_priority(q -> 'priority'), 'message', q -> 'metadata')
    RETURNING status, error_reason INTO made;
  IF made.status <> 'active' THEN RAISE EXCEPTION 'message % cannot be sent: %', sid, made.error_reason; END IF;
  RETURN enqueue_answer('accepted', slot_public_id(sid, at), NULL);
END $$;

-- Call one message off, by its id or its idempotency key. Only what was asked for as a message: a slot of a person's schedule is a person's.
CREATE OR REPLACE FUNCTION enqueue_cancel(p_request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE f text; given text; found_ text[]; k kb_schedule%ROWTYPE; sid bigint; at timestamptz; id text; answer text; version_ int;
BEGIN
  IF jsonb_typeof(p_request) IS DISTINCT FROM 'object' OR (SELECT count(*) FROM jsonb_each(p_request) WHERE value <> 'null') <> 1 OR NOT p_request ?| ARRAY['id', 'idempotency_key'] THEN
    RETURN enqueue_answer('refused', NULL, NULL, enqueue_wrong('request', 'it names no message', 'either {"id": "812-1795222800000"} or {"idempotency_key": "…"}')); END IF;
  f := CASE WHEN p_request -> 'id' <> 'null' THEN 'id' ELSE 'idempotency_key' END; given := p_request ->> f;
  IF jsonb_typeof(p_request -> f) IS DISTINCT FROM 'string' OR length(given) > 200 THEN
    RETURN enqueue_answer('refused', NULL, NULL, enqueue_wrong(f, format('%s names no message', coalesce(enqueue_shown(p_request -> f), 'nothing')), 'the text that the message was given')); END IF;
  IF f = 'id' THEN
    found_ := regexp_match(given, '^([1-9]\d{0,17})-(\d{1,14})$');
    IF found_ IS NULL THEN
      RETURN enqueue_answer('refused', NULL, NULL, enqueue_wrong('id', format('%s is no message id', enqueue_shown(p_request -> f)), 'the schedule''s id, a hyphen and Unix milliseconds, like 812-1795222800000')); END IF;
    sid := found_[1]::bigint; at := to_timestamp(0) + found_[2]::bigint * interval '1 ms';
  ELSE
    SELECT e.schedule_id, e.slot_at INTO sid, at FROM enqueue_keys e WHERE e.key = given ORDER BY e.scope LIMIT 1;   -- a caller's own key before a task's id
  END IF;
  SELECT * INTO k FROM kb_schedule s WHERE s.id = sid FOR UPDATE;
  IF NOT FOUND OR (f = 'id' AND k.origin = 'message' AND k.schedule_type = 'once' AND (k.schedule_date + k.schedule_time) <> at AT TIME ZONE k.tz) THEN
    RETURN enqueue_answer('refused', NULL, NULL, enqueue_wrong(f, format('there is no message %s', enqueue_shown(p_request -> f)), 'what the accepted message answered')); END IF;
  id := slot_public_id(sid, at);
  IF k.origin <> 'message' OR k.schedule_type <> 'once' THEN
    RETURN enqueue_answer('refused', id, NULL, enqueue_wrong(f, format('%s belongs to a schedule, it is no single message', id), 'let a person cancel it: `jeongsi slot cancel`')); END IF;
  IF k.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM slots s WHERE s.schedule_id = sid AND s.slot_at = at) THEN
    IF to_regclass('slots_' || to_char(date_trunc('week', at AT TIME ZONE 'Asia/Seoul'), 'IYYY"w"IW')) IS NULL THEN   -- further ahead than the ledger's weeks
      UPDATE kb_schedule s SET deleted_at = ledger_now(), status = 'inactive' WHERE s.id = sid;
      RETURN enqueue_answer('cancelled', id, NULL);
    END IF;
    PERFORM plan_slots(ARRAY[sid], ARRAY[at], ARRAY[k.version], ARRAY[at + make_interval(secs => k.grace_seconds)], ARRAY[at + make_interval(secs => greatest(k.grace_seconds, coalesce(k.validity_seconds, 1800)))],
      ARRAY[false], ARRAY[false], ARRAY[(SELECT r.id FROM rooms r WHERE r.room_id = k.target_room_id)], ARRAY[k.priority], ARRAY[k.misfire = 'latest'], ARRAY['message'], ARRAY[NULL::text]);
  END IF;
  answer := slot_cancel(sid, at, 'called off by its sender');
  IF answer = 'gone' OR (answer = 'over' AND (SELECT s.state FROM slots s WHERE s.schedule_id = sid AND s.slot_at = at) = 'cancelled') THEN
    RETURN enqueue_answer('refused', id, NULL, enqueue_wrong(f, format('%s was cancelled before', id), 'nothing more to do')); END IF;
  IF answer = 'over' THEN
    RETURN enqueue_answer('refused', id, NULL, enqueue_wrong(f, format('%s is over: %s', id, (SELECT s.state FROM slots s WHERE s.schedule_id = sid AND s.slot_at = at)), 'cancel before its time'));
  ELSIF answer = 'started' THEN
    RETURN enqueue_answer('refused', id, NULL, enqueue_wrong(f, format('%s has started and may have been sent', id), 'cancel before its time')); END IF;
  DELETE FROM message_hashes WHERE schedule_id = sid;
  PERFORM pg_notify('jeongsi_schedule', '');
  RETURN enqueue_answer('cancelled', id, NULL);
END $$;

-- Keys and hashes past their time, in bites. A key stays as long after its message's time: a late retry must still meet it.
CREATE OR REPLACE FUNCTION prune_enqueue(p_keys interval, p_hashes interval, p_limit int DEFAULT 20000) RETURNS int LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); n int; total int;
BEGIN
  DELETE FROM enqueue_keys WHERE (scope, key) IN (SELECT scope, key FROM enqueue_keys WHERE keep_from < t - p_keys ORDER BY keep_from LIMIT p_limit FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS total = ROW_COUNT;
  DELETE FROM message_hashes WHERE id IN (SELECT id FROM message_hashes WHERE created_at < t - p_hashes ORDER BY created_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS n = ROW_COUNT; RETURN total + n;
END $$;

-- The public names, for plain SQL: a service's own role needs nothing but EXECUTE on them (docs/enqueue.md). They run with the owner's rights,
-- the search path fixed with pg_temp last, and are never dropped by an upgrade, so that grants on them last.
CREATE OR REPLACE FUNCTION jeongsi_enqueue(request jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT enqueue_message(request) $$;

CREATE OR REPLACE FUNCTION jeongsi_enqueue(room text, text text, at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL, priority int DEFAULT NULL, images jsonb DEFAULT NULL,
  title text DEFAULT NULL, channel text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
  SELECT enqueue_message(jsonb_strip_nulls(jsonb_build_object('room', room, 'text', text, 'at', at, 'idempotency_key', idempotency_key, 'priority', priority, 'title', title, 'channel', channel))
    || jsonb_build_object('images', images, 'metadata', metadata)) $$;

CREATE OR REPLACE FUNCTION jeongsi_cancel(request jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$ SELECT enqueue_cancel(request) $$;

DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname IN ('jeongsi_enqueue', 'jeongsi_cancel') LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', f, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
END $$;

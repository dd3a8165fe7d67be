-- The one clock of every decision. Tests replace this function to move time.
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() $$;

-- The Korean calendar day of an instant: quotas and reports count by it.
CREATE OR REPLACE FUNCTION korean_day(at timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS $$
  SELECT (at AT TIME ZONE 'Asia/Seoul')::date $$;

-- Who acts: set by `SET LOCAL jeongsi.who`, else the database user (raw SQL).
CREATE OR REPLACE FUNCTION ledger_who() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('jeongsi.who', true), ''), session_user::text) $$;

-- Public id of a slot: schedule id, slot time as Unix milliseconds.
CREATE OR REPLACE FUNCTION slot_public_id(sid bigint, sat timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT sid::text || '-' || (extract(epoch FROM sat) * 1000)::bigint::text $$;

-- The queue whose workers a slot is told to: an upload has one of its own, a message goes by its phase.
CREATE OR REPLACE FUNCTION slot_queue(kind text, phase text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN kind = 'tracking' THEN 'tracking' ELSE phase END $$;

-- From when on the time since a sending counts: after a jump of the ledger's clock ahead, from the jump. Else an hour that nobody lived through
-- would pass for settle, and absence be believed while the request is still on its way. Beats note a jump before they take a lease back.
CREATE OR REPLACE FUNCTION settling_from(sent timestamptz, t timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT greatest(sent, (SELECT max(i.at) FROM incidents i WHERE i.kind = 'clock_jumped' AND i.at BETWEEN sent AND t)) $$;

-- Which database this is, how far it has come, and whether a person has to look before anything leaves it (docs/decisions/0008).
CREATE TABLE instance (
  one           boolean PRIMARY KEY DEFAULT true,
  id            uuid NOT NULL DEFAULT gen_random_uuid(),
  mark          bigint NOT NULL DEFAULT 0,
  word          uuid NOT NULL DEFAULT gen_random_uuid(),
  marked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  seal_start    timestamptz,
  seal_database oid,
  seal_xid      text,
  held_at       timestamptz,
  held_reason   text,
  past          text,
  past_from     timestamptz,
  past_to       timestamptz,
  released_at   timestamptz,
  released_by   text,
  released_note text,
  CONSTRAINT instance_one_check CHECK (one),
  CONSTRAINT instance_held_check CHECK ((held_at IS NULL) = (held_reason IS NULL)),
  CONSTRAINT instance_past_check CHECK (past IN ('unresolved', 'send', 'expire'))
) WITH (fillfactor = 10);
-- Adopted as it is: nothing outside can vouch for it yet.
INSERT INTO instance (seal_start, seal_database, seal_xid)
  SELECT pg_postmaster_start_time(), d.oid, pg_current_xact_id()::xid::text FROM pg_database d WHERE d.datname = current_database();

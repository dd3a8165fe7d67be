-- Which database this is, and whether anything may leave it (docs/decisions/0008-instance-epoch.md).

-- True: nothing may leave. Either a person has to look (held_at), or no beat has vouched for this very database since its server started,
-- since it was restored or copied: the seal names the server's start, the database, and the transaction that wrote the row. A restored row
-- was written by another transaction, a copied folder runs under a server that started later, a clone by TEMPLATE has another oid.
-- One row and no lock: about 4 us for a command, however many slots it carries. A row that is missing holds everything, too.
CREATE OR REPLACE FUNCTION ledger_held() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (SELECT 1 FROM instance i JOIN pg_database d ON d.oid = i.seal_database
    WHERE d.datname = current_database() AND i.held_at IS NULL AND i.seal_start = pg_postmaster_start_time() AND i.xmin::text = i.seal_xid) $$;

-- Where this database lives: the cluster, the database in it, the line of its history (a promotion begins a new one).
-- 0: the server does not say (a hosted one may hide it). Not read from pg_control, which learns of a promotion only at the next checkpoint.
CREATE OR REPLACE FUNCTION instance_body() RETURNS TABLE (system bigint, database bigint, timeline bigint) LANGUAGE plpgsql AS $$
BEGIN
  database := (SELECT d.oid::bigint FROM pg_database d WHERE d.datname = current_database());
  BEGIN system := (SELECT c.system_identifier FROM pg_control_system() c); EXCEPTION WHEN OTHERS THEN system := 0; END;
  BEGIN timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint; EXCEPTION WHEN OTHERS THEN timeline := 0; END;
  RETURN NEXT;
END $$;

-- What a beat judges by; locks the row for the rest of the transaction. `sync`: no acknowledged commit is on one machine only.
CREATE OR REPLACE FUNCTION instance_facts() RETURNS TABLE (id uuid, mark bigint, word uuid, marked_at timestamptz, sealed boolean, held_at timestamptz,
  held_reason text, has_past boolean, sync boolean, system bigint, database bigint, timeline bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM instance FOR UPDATE;
  RETURN QUERY SELECT i.id, i.mark, i.word, i.marked_at, i.held_at IS NULL AND NOT ledger_held(), i.held_at, i.held_reason, EXISTS (SELECT 1 FROM slots),
      current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') IN ('on', 'remote_apply'), b.system, b.database, b.timeline
    FROM instance i, instance_body() b;
END $$;

-- A beat vouches for this database, and it goes on by one mark. Answers the new mark and its word: two databases that part at a mark differ in the word.
CREATE OR REPLACE FUNCTION instance_mark() RETURNS TABLE (mark bigint, word uuid, marked_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE was boolean := ledger_held();
BEGIN
  RETURN QUERY UPDATE instance i SET mark = i.mark + 1, word = gen_random_uuid(), marked_at = ledger_now(), seal_start = pg_postmaster_start_time(),
      seal_database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), seal_xid = pg_current_xact_id()::xid::text
    WHERE i.held_at IS NULL RETURNING i.mark, i.word, i.marked_at;
  IF was THEN PERFORM pg_notify('jeongsi_schedule', ''); END IF;   -- beats need not wait for their next turn
END $$;

-- Hold everything until a person looked. The first reason stands. Answers whether it was held by this.
CREATE OR REPLACE FUNCTION instance_hold(p_reason text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE since timestamptz;
BEGIN
  UPDATE instance SET held_at = ledger_now(), held_reason = p_reason WHERE held_at IS NULL RETURNING marked_at INTO since;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO incidents (at, kind, range_from, range_to, detail)
    VALUES (ledger_now(), 'instance_held', since, ledger_now(), jsonb_build_object('why', p_reason, 'who', ledger_who()));
  RETURN true;
END $$;

-- The slots that this database may have sent and forgotten: due by p_to, not over an hour before its last mark, something of them still unsent.
-- Where every part was on its way already, looking it up or sending it again by its key finds out what became of it.
CREATE OR REPLACE FUNCTION instance_doubtful(p_from timestamptz, p_to timestamptz) RETURNS TABLE (sid bigint, sat timestamptz) LANGUAGE sql STABLE AS $$
  SELECT s.schedule_id, s.slot_at FROM slots s WHERE s.ended_at IS NULL AND s.slot_at <= p_to AND s.finish_by >= p_from
     AND NOT (EXISTS (SELECT 1 FROM parts p WHERE p.schedule_id = s.schedule_id AND p.slot_at = s.slot_at)
              AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.schedule_id = s.schedule_id AND p.slot_at = s.slot_at AND p.state IN ('pending', 'failed'))) $$;

-- A person looked: this database goes on under a new id, so that nothing of before can be taken for it. p_past says what becomes of the slots
-- it may have forgotten to have sent: 'unresolved' (a person clears them), 'expire', or 'send' (nothing was lost, or a double does not matter).
-- What the planner lays down later for that time follows (plan_slots). Answers how many slots were closed; NULL: nothing was held.
CREATE OR REPLACE FUNCTION instance_release(p_past text, p_note text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE i instance%ROWTYPE; t timestamptz; since timestamptz; n int := 0;
BEGIN
  SELECT * INTO i FROM instance FOR UPDATE;
  IF i.held_at IS NULL THEN RETURN NULL; END IF;
  t := ledger_now(); since := i.marked_at - interval '1 hour';
  IF p_past <> 'send' THEN
    PERFORM 1 FROM slots s JOIN instance_doubtful(since, t) d ON s.schedule_id = d.sid AND s.slot_at = d.sat ORDER BY s.schedule_id, s.slot_at FOR UPDATE OF s;
    UPDATE attempts a SET outcome = 'unknown', reason = 'restored', ended_at = t FROM instance_doubtful(since, t) d
      WHERE a.schedule_id = d.sid AND a.slot_at = d.sat AND a.outcome IS NULL;
    UPDATE parts p SET state = 'unknown' FROM instance_doubtful(since, t) d WHERE p.schedule_id = d.sid AND p.slot_at = d.sat AND p.state = 'sending';
    UPDATE slots s SET state = CASE WHEN p_past = 'expire' AND s.exposed = 0 THEN 'expired' ELSE 'unresolved' END, reason = 'restored', ended_at = t,
        owner = NULL, lease_until = NULL, republish_at = NULL, fence = s.fence + 1
      FROM instance_doubtful(since, t) d WHERE s.schedule_id = d.sid AND s.slot_at = d.sat;
    GET DIAGNOSTICS n = ROW_COUNT;
  END IF;
  INSERT INTO incidents (at, kind, range_from, range_to, detail)
    VALUES (t, 'instance_released', i.marked_at, t, jsonb_build_object('who', ledger_who(), 'why', p_note, 'past', p_past, 'slots', n, 'held', i.held_reason, 'was', i.id));
  UPDATE instance SET id = gen_random_uuid(), mark = 1, word = gen_random_uuid(), marked_at = t, held_at = NULL, held_reason = NULL,
      seal_start = pg_postmaster_start_time(), seal_database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()),
      seal_xid = pg_current_xact_id()::xid::text, past = p_past, past_from = since, past_to = t, released_at = t, released_by = ledger_who(), released_note = p_note;
  PERFORM pg_notify('jeongsi_schedule', '');
  RETURN n;
END $$;

-- Clean-up of what people look at (A60): finished one-offs of Korean days before p_day leave the lists, and their content may come again.
-- Soft deletes, so that slots, history and proof stay. Answers how many; in bites, rows that somebody holds are left for the next time.
CREATE OR REPLACE FUNCTION retire_finished(p_day date, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE ids bigint[];
BEGIN
  SELECT array_agg(k.id) INTO ids FROM (SELECT id FROM kb_schedule WHERE status = 'completed' AND deleted_at IS NULL AND schedule_type = 'once' AND schedule_date < p_day
    ORDER BY schedule_date LIMIT p_limit FOR UPDATE SKIP LOCKED) k;
  IF ids IS NULL THEN RETURN 0; END IF;
  DELETE FROM message_hashes WHERE schedule_id = ANY (ids);
  UPDATE kb_schedule SET deleted_at = ledger_now() WHERE id = ANY (ids);
  RETURN cardinality(ids);
END $$;

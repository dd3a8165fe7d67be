-- Old orders and the record of old uploads, in bites of p_limit. What waits is never deleted: an order with a number that may still be uploaded, and an order of
-- a run that a person has to decide. An order outlives its last change by p_orders, a run its end by p_runs; the newest run of an account stays as its last one.
CREATE OR REPLACE FUNCTION prune_tracking(p_orders interval, p_runs interval, p_limit int DEFAULT 20000) RETURNS int LANGUAGE plpgsql AS $$
DECLARE t timestamptz := ledger_now(); n int; total int := 0; job bigint;
BEGIN
  FOR job IN SELECT j.id FROM tracking_upload_jobs j WHERE j.completed_at < t - p_runs ORDER BY j.id LOOP
    EXIT WHEN total >= p_limit;
    WITH old AS (SELECT d.id FROM tracking_upload_details d WHERE d.job_id = job
        AND NOT (d.state = 'unresolved' AND EXISTS (SELECT 1 FROM orders o WHERE o.id = d.order_id AND o.playauto_uploaded = 0)) LIMIT p_limit - total FOR UPDATE SKIP LOCKED)
      DELETE FROM tracking_upload_details d USING old WHERE d.id = old.id;
    GET DIAGNOSTICS n = ROW_COUNT; total := total + n;
    CONTINUE WHEN n > 0 OR EXISTS (SELECT 1 FROM tracking_upload_details d WHERE d.job_id = job) OR EXISTS (SELECT 1 FROM tracking_upload_jobs r WHERE r.redrive_of = job)
      OR NOT EXISTS (SELECT 1 FROM tracking_upload_jobs j JOIN tracking_upload_jobs y ON y.scheduler_id = j.scheduler_id AND y.id > j.id AND NOT y.dry_run WHERE j.id = job);
    DELETE FROM tracking_works WHERE job_id = job;
    DELETE FROM tracking_chunks WHERE job_id = job;
    DELETE FROM tracking_upload_jobs WHERE id = job;
    GET DIAGNOSTICS n = ROW_COUNT; total := total + n;
  END LOOP;
  WITH old AS (SELECT o.id FROM orders o WHERE o.created_at < t - p_orders AND o.updated_at < t - p_orders AND coalesce(o.uploaded_at, o.updated_at) < t - p_orders
      AND order_hindrance(o) IN ('uploaded', 'no_number', 'cancel', 'return', 'exchange')
      AND NOT EXISTS (SELECT 1 FROM tracking_upload_details d WHERE d.order_id = o.id AND d.state IN ('pending', 'leased'))
      ORDER BY o.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED)
    DELETE FROM orders o USING old WHERE o.id = old.id;
  GET DIAGNOSTICS n = ROW_COUNT; RETURN total + n;
END $$;

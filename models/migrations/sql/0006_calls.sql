-- Finished one-offs that are still in the lists, by the day they were for.
CREATE INDEX kb_schedule_finished_idx ON kb_schedule (schedule_date) WHERE status = 'completed' AND deleted_at IS NULL;

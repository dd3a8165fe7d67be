-- Two orders of one parcel in two requests would have it passed on to the shop twice. Few orders share one, so only those are indexed by it.
ALTER TABLE tracking_upload_details ADD COLUMN shared boolean NOT NULL DEFAULT false;
CREATE INDEX tracking_upload_details_shared_idx ON tracking_upload_details (job_id, bundle_no) WHERE shared;

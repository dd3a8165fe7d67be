-- How often a worker died with an order, apart from questions that PlayAuto left without an answer.
ALTER TABLE tracking_upload_details ADD COLUMN deaths smallint NOT NULL DEFAULT 0;

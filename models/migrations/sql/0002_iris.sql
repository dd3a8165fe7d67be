-- Several images in one request are one part. `image_id` stays the first of them.
ALTER TABLE parts ADD COLUMN image_ids bigint[];

-- What the provider looked like before the write (whoever looks the message up after a crash needs it), and what the last look-up saw.
ALTER TABLE attempts ADD COLUMN baseline jsonb;
ALTER TABLE attempts ADD COLUMN seen jsonb;

-- Which message on a device is whose: two parts with the same text are never confirmed by one message.
CREATE TABLE device_messages (
  device     text NOT NULL,
  message_id text NOT NULL,
  attempt_id uuid NOT NULL,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (device, message_id)
);
CREATE INDEX device_messages_at_idx ON device_messages (at);

CREATE INDEX slots_device_wait_idx ON slots (device, priority, slot_at, schedule_id) WHERE state IN ('waiting', 'queued', 'leased') AND wait_reason = 'device_busy';

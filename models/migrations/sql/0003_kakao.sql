ALTER TABLE rooms ADD COLUMN address text;
ALTER TABLE rooms ADD CONSTRAINT rooms_address_check CHECK (address <> '');

ALTER TABLE parts ADD COLUMN refused jsonb;

CREATE TABLE kakao_tokens (
  account            text PRIMARY KEY,
  access             bytea NOT NULL,
  refresh            bytea,
  expires_at         timestamptz,
  refresh_expires_at timestamptz,
  scopes             text NOT NULL DEFAULT '',
  seed               text,
  updated_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_by         text NOT NULL
);

-- Once, by the owner of Jeongsi's database: a role of the service's own that can ask for messages, and nothing else.
CREATE ROLE orders LOGIN PASSWORD 'a long one';
GRANT EXECUTE ON FUNCTION jeongsi_enqueue(jsonb) TO orders;
GRANT EXECUTE ON FUNCTION jeongsi_enqueue(text, text, timestamptz, text, int, jsonb, text, text, jsonb) TO orders;
GRANT EXECUTE ON FUNCTION jeongsi_cancel(jsonb) TO orders;

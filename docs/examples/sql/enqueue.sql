-- The order and its message are kept together, or lost together.
BEGIN;
UPDATE shop_orders SET state = 'shipped' WHERE id = 4711;
SELECT jeongsi_enqueue(room => 'hq-alerts', text => '주문 4711이 출고되었습니다 📦', idempotency_key => 'orders/4711/shipped');
COMMIT;

-- For later, with everything a message may have; a refusal is a result, so a program decides what it means.
SELECT jeongsi_enqueue('{"room": "hq-alerts", "text": "내일 뵙겠습니다", "at": "2999-01-02T09:00:00+09:00",
                         "priority": "low", "metadata": {"order": 4711}, "idempotency_key": "orders/4711/reminder"}');
SELECT jeongsi_cancel('{"idempotency_key": "orders/4711/reminder"}');

-- Where a refusal must undo the rest, raise it.
DO $$
DECLARE answer jsonb := jeongsi_enqueue(room => 'hq-alerts', text => '주문 4712가 출고되었습니다 📦', idempotency_key => 'orders/4712/shipped');
BEGIN
  IF answer ->> 'status' NOT IN ('accepted', 'duplicate') THEN RAISE EXCEPTION 'no message: %', answer -> 'errors'; END IF;
END $$;

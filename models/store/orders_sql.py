"""The statements of an import of orders (`models.store.orders`), in the order in which they run."""

from __future__ import annotations

from typing import Final

#: What the file says, line by line.
LINES: Final = """
CREATE TEMP TABLE order_lines (line int, order_no text, shop_code text, shop_name text, shop_order_no text,
  playauto_uniq text, bundle_no text, carrier_code text, carrier_name text, tracking_number text,
  order_status text, playauto_uploaded smallint, sent boolean, named text,
  single boolean NOT NULL DEFAULT false, several boolean NOT NULL DEFAULT false, differs text)"""
#: One row an order: what its lines say together. Each item has a uniq of its own; the first is kept.
ROWS: Final = """
CREATE TEMP TABLE order_rows AS
SELECT row_number() OVER (ORDER BY order_no) AS place, min(line) AS line,
       ROW(NULL, NULL, NULL, order_no, max(shop_code), max(shop_name), max(shop_order_no),
           (array_agg(playauto_uniq ORDER BY line) FILTER (WHERE playauto_uniq IS NOT NULL))[1],
           max(bundle_no), max(carrier_code), max(carrier_name), max(tracking_number), max(order_status),
           min(playauto_uploaded), NULL, NULL, NULL)::orders AS n, order_no, bool_or(several) AS several,
       concat_ws(', ', CASE WHEN min(tracking_number) <> max(tracking_number) THEN 'tracking_number' END,
         CASE WHEN min(coalesce(carrier_code, carrier_name)) <> max(coalesce(carrier_code, carrier_name))
              THEN 'carrier' END,
         CASE WHEN min(bundle_no) <> max(bundle_no) THEN 'bundle_no' END,
         CASE WHEN min(order_status) <> max(order_status) THEN 'order_status' END,
         CASE WHEN min(coalesce(shop_code, shop_name)) <> max(coalesce(shop_code, shop_name))
              THEN 'shop' END) AS clash
  FROM order_lines GROUP BY order_no"""
#: By which the steps find their lines.
STEPS: Final = "CREATE INDEX ON order_lines (line)"
#: A step's few thousand rows each look their order up by an index; the planner would rather read millions.
BY_INDEX: Final = (
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
)
#: What becomes of each order, and what of it is worth telling.
_FATES: Final = """
SELECT r.*, o.id AS order_id,
       CASE WHEN r.clash <> '' THEN 'lines' WHEN r.several THEN 'several' WHEN o.id IS NULL THEN 'new'
            WHEN o.account <> %(account)s THEN 'account'
            WHEN (o.shop_code <> (r.n).shop_code) OR (coalesce(o.shop_code, (r.n).shop_code) IS NULL
                 AND o.shop_name <> (r.n).shop_name) THEN 'shop'
            WHEN order_merged(o, r.n, %(again)s) IS DISTINCT FROM o THEN 'changed'
            ELSE 'unchanged' END AS fate,
       CASE WHEN r.clash <> '' THEN r.clash WHEN o.account <> %(account)s THEN o.account
            ELSE coalesce(o.shop_name, o.shop_code) END AS what,
       coalesce(o.playauto_uploaded = 1 AND NOT %(again)s
         AND (order_moves(o, r.n) OR (r.n).playauto_uploaded = 0), false) AS kept,
       concat_ws(' ', coalesce(o.carrier_name, o.carrier_code), o.tracking_number) AS had
  FROM order_rows r LEFT JOIN orders o
    ON o.order_no = r.order_no AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint
 WHERE r.place > %(after)s AND r.place <= %(to)s"""
NO_FATES: Final = f"CREATE TEMP TABLE order_fates AS {_FATES} LIMIT 0"
FATES: Final = f"INSERT INTO order_fates {_FATES}"
#: Looks at each order anew, as it is by then.
CHANGE: Final = """
UPDATE orders o SET (shop_code, shop_name, shop_order_no, playauto_uniq, bundle_no, carrier_code,
    carrier_name, tracking_number, order_status, playauto_uploaded, uploaded_at, updated_at)
  = (SELECT m.shop_code, m.shop_name, m.shop_order_no, m.playauto_uniq, m.bundle_no, m.carrier_code,
            m.carrier_name, m.tracking_number, m.order_status, m.playauto_uploaded, m.uploaded_at,
            ledger_now()
       FROM order_merged(o, f.n, %(again)s) m)
  FROM order_fates f
 WHERE f.place > %(after)s AND f.place <= %(to)s AND f.fate = 'changed' AND o.id = f.order_id"""
#: An order that somebody else added since is left alone, and the caller finds it missing.
ADD: Final = """
INSERT INTO orders (organisation_id, account, order_no, shop_code, shop_name, shop_order_no, playauto_uniq,
    bundle_no, carrier_code, carrier_name, tracking_number, order_status, playauto_uploaded,
    created_at, updated_at)
SELECT %(organisation)s::bigint, %(account)s, f.order_no, (f.n).shop_code,
       (f.n).shop_name, (f.n).shop_order_no,
       (f.n).playauto_uniq, (f.n).bundle_no, (f.n).carrier_code, (f.n).carrier_name, (f.n).tracking_number,
       (f.n).order_status, coalesce((f.n).playauto_uploaded, 0), t.now, t.now
  FROM order_fates f, (SELECT ledger_now() AS now) t
 WHERE f.place > %(after)s AND f.place <= %(to)s AND f.fate = 'new' ORDER BY f.place ON CONFLICT DO NOTHING"""

"""Under which number an order stands that is known by several: its own, the shop's, and PlayAuto's `uniq`.

A file may name by the shop's number what came from PlayAuto, and PlayAuto shows each item of an order as an
order of its own. Both must find the row that is there; a second row for the same parcel would be uploaded
without its bundle number, or twice. Statements that look into `orders` go by steps of lines, by its indexes.
"""

from __future__ import annotations

from typing import Final

#: A file's line whose number no order has, but one order has as its other number, means that order. Several
#: have the shop's number where PlayAuto has split an order: then a person has to say which.
IN_FILE: Final = """
UPDATE order_lines l SET (order_no, several) = (
  SELECT CASE WHEN count(*) = 1 THEN min(k.order_no) ELSE l.order_no END, count(*) > 1
    FROM (SELECT a.*, min(a.rank) OVER () AS best FROM (
            SELECT o.order_no, 1 AS rank FROM orders o
             WHERE o.playauto_uniq IN (l.order_no, l.playauto_uniq) AND o.account = %(account)s
               AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint
               AND coalesce(o.shop_code = l.shop_code, true) AND coalesce(o.bundle_no = l.bundle_no, true)
            UNION
            SELECT o.order_no, 2 FROM orders o
             WHERE o.shop_order_no = l.order_no AND o.account = %(account)s
               AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint
               AND coalesce(o.shop_code = l.shop_code, true)
               AND coalesce(o.bundle_no = l.bundle_no, true)) a) k
   WHERE k.rank = k.best)
 WHERE l.line > %(after)s AND l.line <= %(to)s
   AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.order_no = l.order_no
                      AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint)"""
#: What came from PlayAuto before keeps its number, whatever became of its parcel.
SEEN: Final = """
UPDATE order_lines l SET order_no = o.order_no, named = 'uniq' FROM orders o
 WHERE o.playauto_uniq = l.playauto_uniq AND o.account = %(account)s
   AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint
   AND l.line > %(after)s AND l.line <= %(to)s"""
#: What a file brought under the shop's number, and further items of the same parcel.
FROM_A_FILE: Final = """
UPDATE order_lines l SET (order_no, named) = (
  SELECT CASE WHEN count(*) = 1 THEN min(k.order_no) ELSE l.order_no END,
         CASE WHEN count(*) = 1 THEN 'shop' END
    FROM (SELECT o.order_no FROM orders o
           WHERE o.order_no = l.shop_order_no AND o.account = %(account)s
             AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint
             AND coalesce(o.shop_code = l.shop_code, true) AND coalesce(o.bundle_no = l.bundle_no, true)
          UNION
          SELECT o.order_no FROM orders o
           WHERE o.shop_order_no = l.shop_order_no AND o.account = %(account)s
             AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint
             AND coalesce(o.shop_code = l.shop_code, true)
             AND coalesce(o.bundle_no = l.bundle_no, true)) k)
 WHERE l.named IS NULL AND l.line > %(after)s AND l.line <= %(to)s"""
#: What is new is called by the shop's number, as people and their files call it, unless that is one of
#: several parcels, or taken: then it stays under its `uniq`.
SINGLE: Final = """
UPDATE order_lines l SET single = true
  FROM (SELECT shop_order_no FROM order_lines WHERE shop_order_no <> '' GROUP BY 1
        HAVING count(DISTINCT (shop_code, bundle_no)) = 1) g
 WHERE g.shop_order_no = l.shop_order_no AND l.named IS NULL"""
NEW: Final = """
UPDATE order_lines l SET order_no = l.shop_order_no
 WHERE l.single AND l.named IS NULL AND l.line > %(after)s AND l.line <= %(to)s
   AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.order_no = l.shop_order_no
                      AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint)"""
#: Items that no longer travel with the one that their order is known by are orders of their own.
PARTED: Final = """
UPDATE order_lines l SET order_no = l.playauto_uniq
  FROM (SELECT order_no FROM order_lines GROUP BY 1 HAVING count(DISTINCT (shop_code, bundle_no)) > 1) g
 WHERE g.order_no = l.order_no AND l.named = 'shop'"""
#: A parcel of which one item is cancelled goes out with the others.
STATUS: Final = """
UPDATE order_lines l SET order_status = g.status
  FROM (SELECT order_no, coalesce((array_agg(order_status ORDER BY line)
                                     FILTER (WHERE order_claim(order_status) IS NULL))[1],
                                  (array_agg(order_status ORDER BY line))[1]) AS status
          FROM order_lines GROUP BY 1 HAVING count(DISTINCT order_status) > 1) g
 WHERE g.order_no = l.order_no"""
#: A number that waits here, and is another one than PlayAuto has, stays and waits: its upload decides.
DIFFERS: Final = """
UPDATE order_lines l SET tracking_number = NULL, carrier_code = NULL, carrier_name = NULL,
       playauto_uploaded = NULL, differs = concat_ws(' ', l.carrier_name, l.tracking_number)
  FROM orders o WHERE l.line > %(after)s AND l.line <= %(to)s AND l.tracking_number <> ''
   AND o.order_no = l.order_no AND o.account = %(account)s AND o.playauto_uploaded = 0
   AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint AND o.tracking_number <> ''
   AND (o.carrier_code <> l.carrier_code OR regexp_replace(o.tracking_number, '[^0-9A-Za-z]', '', 'g')
        <> regexp_replace(l.tracking_number, '[^0-9A-Za-z]', '', 'g'))"""
#: Nor does a number end its wait that PlayAuto has not passed on to the shop yet, where that is wanted: a run
#: that was cut short is gone on with by the next. And what a run is at now, the run marks itself.
UNSENT: Final = """
UPDATE order_lines l SET playauto_uploaded = NULL
  FROM orders o WHERE l.line > %(after)s AND l.line <= %(to)s AND l.playauto_uploaded = 1
   AND o.order_no = l.order_no AND o.account = %(account)s AND o.playauto_uploaded = 0
   AND o.organisation_id IS NOT DISTINCT FROM %(organisation)s::bigint AND o.tracking_number <> ''
   AND ((l.sent IS NOT TRUE AND coalesce((SELECT s.send_to_shop FROM tracking_upload_scheduler s
                                           WHERE s.account = %(account)s AND s.deleted_at IS NULL), true))
        OR EXISTS (SELECT 1 FROM tracking_upload_details d
                    WHERE d.order_id = o.id AND d.state IN ('pending', 'leased')))"""
#: For PlayAuto's orders, staged under their `uniq`, in this order.
FROM_PLAYAUTO: Final = (SEEN, FROM_A_FILE, SINGLE, NEW, PARTED, STATUS, DIFFERS, UNSENT)

-- By when an order came: what is old is found without reading what is young. Never updated, so it costs an order nothing after its insert.
CREATE INDEX orders_created_idx ON orders (created_at);
-- An order is known by its shop's number and by PlayAuto's, too: an import of either looks for it among millions.
CREATE INDEX orders_uniq_idx ON orders (playauto_uniq) WHERE playauto_uniq IS NOT NULL;
CREATE INDEX orders_shop_order_idx ON orders (shop_order_no) WHERE shop_order_no IS NOT NULL;

-- I2: at most one receipt per key, unless an attempt of that part was marked as a risk.
SELECT (array_agg(m.schedule_id ORDER BY m.at DESC))[1] AS sid, (array_agg(m.slot_at ORDER BY m.at DESC))[1] AS sat,
       'part ' || min(m.ord) || ' arrived ' || count(*) || ' times (' || min(m.channel) || ', receipts '
         || string_agg(m.n::text, ', ' ORDER BY m.n) || ', key ' || left(m.idem_key, 16) || ')' AS detail
  FROM audit_matched m GROUP BY m.idem_key HAVING count(*) > 1 AND NOT bool_or(m.flagged)

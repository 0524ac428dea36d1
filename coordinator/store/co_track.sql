-- What trackers do, in one round trip: what `coordinator.tracker.ledger_judging` does on SQLite. It runs as a statement of
-- its own, and so is one commit. p_now is for tests: without it the database's clock counts.
--
-- p_asked has `keys` and `names` of scopes, and `calls` that say which of those they are about, by place. Each call is
-- answered by an object: `what` became of it, and what belongs to that (`tracker_calls.Answered`). Who makes a scope at
-- the same moment as somebody else fails as a whole (a unique key), with nothing changed, and tries again.
--
-- Plans must not follow statistics: the tables are empty when they are made, and large before the first ANALYZE.
CREATE OR REPLACE FUNCTION co_track(
    p_chain bigint,
    p_wallet text,
    p_asked json,
    p_now double precision DEFAULT NULL
) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $function$
DECLARE
    largest CONSTANT bigint := 9223372036854775807;
    v_now double precision := coalesce(p_now, extract(epoch FROM clock_timestamp()));
    v_answers text[] := '{}';
    v_answer json;
    v_keys text[];
    v_names text[];
    v_due bigint[];
    v_locked bigint[];
    v_bounded boolean;
    v_ids text;
    v_held bigint;
    v_late boolean;
    v_forgets boolean := false;
    a record;
    h record;
    r record;
    n int;
    -- The scopes, in the order of v_keys. Whoever is not `known` has neither limit nor history, and maybe no row.
    c_id bigint[];
    c_there boolean[];
    c_known boolean[];
    c_fresh boolean[];
    c_changed boolean[];
    c_unit text[];
    c_lim bigint[];
    c_cap bigint[];
    c_spent bigint[];
    c_reserved bigint[];
    c_overruns bigint[];
    c_late bigint[];
BEGIN
    SELECT x.keys, x.names INTO v_keys, v_names FROM json_to_record(p_asked) AS x(keys text[], names text[]);
    SELECT array_agg(DISTINCT d.id) INTO v_due
        FROM co_holds t, unnest(translate(t.scope_ids, '[]', '{}')::bigint[]) AS d(id)
        WHERE t.chain_id = p_chain AND t.wallet = p_wallet AND t.state = 'open' AND t.expires_at <= v_now;
    SELECT array_agg(l.scope_id) INTO v_locked FROM (
        SELECT t.scope_id FROM co_cells t
            WHERE t.window_start = 0 AND t.scope_id = ANY (v_due || ARRAY(
                SELECT s.id FROM co_scopes s
                WHERE s.chain_id = p_chain AND s.wallet = p_wallet AND s.kind = 'tracked' AND s.key = ANY (v_keys)))
            ORDER BY t.scope_id FOR UPDATE OF t
    ) AS l;
    IF v_due IS NOT NULL THEN
        WITH ended AS (
            UPDATE co_holds t SET state = 'expired'
                WHERE t.chain_id = p_chain AND t.wallet = p_wallet AND t.state = 'open' AND t.expires_at <= v_now
                    -- What was made since they were listed belongs to the next call: its cells may not be locked.
                    AND translate(t.scope_ids, '[]', '{}')::bigint[] <@ v_locked
                RETURNING t.scope_ids, t.amount
        ), sums AS (
            SELECT d.id, sum(e.amount)::bigint AS amount
                FROM ended e, unnest(translate(e.scope_ids, '[]', '{}')::bigint[]) AS d(id) GROUP BY d.id
        )
        UPDATE co_cells t SET reserved = t.reserved - sums.amount FROM sums
            WHERE t.scope_id = sums.id AND t.window_start = 0;
    END IF;

    n := cardinality(v_keys);
    c_id := array_fill(NULL::bigint, ARRAY[n]);
    c_there := array_fill(false, ARRAY[n]);
    c_known := c_there;
    c_fresh := c_there;
    c_changed := c_there;
    c_unit := array_fill(''::text, ARRAY[n]);
    c_lim := c_id;
    c_cap := array_fill(largest, ARRAY[n]);
    c_spent := array_fill(0::bigint, ARRAY[n]);
    c_reserved := c_spent;
    c_overruns := c_spent;
    c_late := c_spent;
    -- A new statement: what waited for a lock sees here what was committed meanwhile, also beside the locked rows.
    FOR r IN
        SELECT k.n, s.id, s.unit, t.lim, t.cap, t.spent, t.reserved, q.scope_id IS NOT NULL AS known
            FROM unnest(v_keys) WITH ORDINALITY AS k(key, n)
            JOIN co_scopes s ON s.chain_id = p_chain AND s.wallet = p_wallet AND s.kind = 'tracked' AND s.key = k.key
            JOIN co_cells t ON t.scope_id = s.id AND t.window_start = 0
            LEFT JOIN co_tracked q ON q.scope_id = s.id
            WHERE s.id = ANY (v_locked)
    LOOP
        c_id[r.n] := r.id;
        c_there[r.n] := true;
        c_known[r.n] := r.known;
        c_unit[r.n] := r.unit;
        c_lim[r.n] := r.lim;
        c_cap[r.n] := r.cap;
        c_spent[r.n] := r.spent;
        c_reserved[r.n] := r.reserved;
    END LOOP;

    FOR a IN
        SELECT * FROM json_to_recordset(p_asked -> 'calls') AS x(
            kind text, token text, unit text, amount bigint, seconds double precision, actual bigint, places int[])
    LOOP
        v_answer := NULL;
        IF a.kind = 'limit' THEN
            n := a.places[1];
            IF a.amount IS NULL THEN
                IF c_known[n] THEN
                    c_lim[n] := NULL;
                    c_cap[n] := largest;
                    c_changed[n] := true;
                    c_known[n] := c_spent[n] > 0 OR c_reserved[n] > 0;
                    v_forgets := true;
                END IF;
            ELSIF c_known[n] AND c_unit[n] <> a.unit AND (c_spent[n] > 0 OR c_reserved[n] > 0) THEN
                v_answer := json_build_object('what', 'unit', 'scope', v_names[n], 'unit', c_unit[n]);
            ELSE
                IF NOT c_known[n] OR c_unit[n] <> a.unit THEN
                    c_id[n] := coalesce(c_id[n], nextval('co_scopes_id_seq'));
                    c_known[n] := true;
                    c_fresh[n] := true;
                    c_unit[n] := a.unit;
                END IF;
                c_lim[n] := a.amount;
                c_cap[n] := greatest(a.amount, c_spent[n] + c_reserved[n]);
                c_changed[n] := true;
            END IF;
            v_answers := v_answers || coalesce(v_answer, json_build_object('what', 'set'))::text;
            CONTINUE;
        END IF;

        SELECT t.* INTO h FROM co_holds t WHERE t.token = a.token;
        IF a.kind = 'reserve' THEN
            IF FOUND THEN
                -- The answer to the first call was lost.
                v_answers := v_answers
                    || json_build_object('what', 'granted', 'expires_at', h.expires_at)::text;
                CONTINUE;
            END IF;
            v_bounded := false;
            FOREACH n IN ARRAY a.places LOOP
                IF c_known[n] AND c_unit[n] <> a.unit THEN
                    v_answer := json_build_object('what', 'unit', 'scope', v_names[n], 'unit', c_unit[n]);
                    EXIT;
                END IF;
                v_bounded := v_bounded OR c_lim[n] IS NOT NULL;
                IF NOT v_bounded OR a.amount > coalesce(c_lim[n], largest) - c_spent[n] - c_reserved[n] THEN
                    v_answer := json_build_object('what', 'denied', 'scope', v_names[n],
                        'limit', CASE WHEN v_bounded THEN coalesce(c_lim[n], largest) END,
                        'spent', c_spent[n], 'reserved', c_reserved[n]);
                    EXIT;
                END IF;
            END LOOP;
            IF v_answer IS NULL THEN
                v_ids := '';
                FOREACH n IN ARRAY a.places LOOP
                    IF NOT c_known[n] THEN
                        c_id[n] := coalesce(c_id[n], nextval('co_scopes_id_seq'));
                        c_known[n] := true;
                        c_fresh[n] := true;
                        c_unit[n] := a.unit;
                    END IF;
                    c_reserved[n] := c_reserved[n] + a.amount;
                    c_changed[n] := true;
                    v_ids := v_ids || ',' || c_id[n];
                END LOOP;
                INSERT INTO co_holds
                        (token, chain_id, wallet, scope_ids, amount, unit, expires_at, over_at, state, late)
                    VALUES (a.token, p_chain, p_wallet, '[' || substr(v_ids, 2) || ']', a.amount, a.unit,
                        v_now + a.seconds, v_now + a.seconds, 'open', false);
                v_answer := json_build_object('what', 'granted', 'expires_at', v_now + a.seconds);
            END IF;
            v_answers := v_answers || v_answer::text;
            CONTINUE;
        END IF;

        IF NOT FOUND THEN
            v_answers := v_answers || json_build_object('what', 'unknown')::text;
            CONTINUE;
        END IF;
        v_ids := '';
        FOREACH n IN ARRAY a.places LOOP
            v_ids := v_ids || ',' || coalesce(c_id[n], 0);
        END LOOP;
        IF (h.chain_id, h.wallet, h.scope_ids, h.amount, h.unit, h.expires_at)
            <> (p_chain, p_wallet, '[' || substr(v_ids, 2) || ']', a.amount, a.unit, a.seconds)
        THEN
            v_answer := json_build_object('what', 'foreign');
        ELSIF h.state = 'committed' AND (a.kind = 'release' OR a.actual <> h.actual)
            OR h.state = 'released' AND a.kind = 'commit'
        THEN
            v_answer := json_build_object('what', 'used', 'state', h.state, 'actual', h.actual);
        ELSIF h.state = 'committed' THEN
            v_answer := json_build_object('what', 'committed', 'repeated', true, 'late', h.late);
        ELSIF h.state <> 'released' THEN
            v_late := h.state = 'expired';
            v_held := CASE WHEN v_late THEN 0 ELSE h.amount END;
            IF a.kind = 'commit' THEN
                FOREACH n IN ARRAY a.places LOOP
                    IF c_known[n] AND c_unit[n] <> h.unit THEN
                        v_answer := json_build_object('what', 'unit', 'scope', v_names[n], 'unit', c_unit[n]);
                        EXIT;
                    END IF;
                    IF a.actual > largest - c_spent[n] - (c_reserved[n] - v_held) THEN
                        v_answer := json_build_object('what', 'overflow', 'scope', v_names[n]);
                        EXIT;
                    END IF;
                END LOOP;
            END IF;
            IF v_answer IS NULL THEN
                FOREACH n IN ARRAY a.places LOOP
                    c_reserved[n] := c_reserved[n] - v_held;
                    c_changed[n] := true;
                    CONTINUE WHEN a.kind = 'release';
                    IF NOT c_known[n] THEN
                        c_known[n] := true;
                        c_fresh[n] := true;
                        c_unit[n] := h.unit;
                    END IF;
                    c_spent[n] := c_spent[n] + a.actual;
                    c_cap[n] := greatest(c_cap[n], c_spent[n] + c_reserved[n]);
                    c_overruns[n] := c_overruns[n] + (a.actual > h.amount)::int;
                    c_late[n] := c_late[n] + v_late::int;
                END LOOP;
                UPDATE co_holds t SET state = CASE a.kind WHEN 'commit' THEN 'committed' ELSE 'released' END,
                    actual = a.actual, late = v_late,
                    over_at = greatest(t.over_at, v_now) WHERE t.token = a.token;
                IF a.kind = 'commit' THEN
                    v_answer := json_build_object('what', 'committed', 'late', v_late);
                END IF;
            END IF;
        END IF;
        v_answers := v_answers || coalesce(v_answer, json_build_object('what', 'released'))::text;
    END LOOP;

    -- New rows come last, when all locks are held, and in one order: nobody waits for somebody who waits for him.
    IF true = ANY (c_fresh) THEN
        INSERT INTO co_scopes (id, chain_id, wallet, kind, key, period, unit)
            SELECT x.id, p_chain, p_wallet, 'tracked', x.key, 'ever', x.unit
            FROM unnest(c_id, v_keys, c_unit, c_there) AS x(id, key, unit, there)
            WHERE x.id IS NOT NULL AND NOT x.there ORDER BY x.key;
        INSERT INTO co_cells (scope_id, window_start, lim, cap, spent, reserved)
            SELECT x.id, 0, x.lim, x.cap, x.spent, x.reserved
            FROM unnest(c_id, c_lim, c_cap, c_spent, c_reserved, c_there) AS x(id, lim, cap, spent, reserved, there)
            WHERE x.id IS NOT NULL AND NOT x.there;
        UPDATE co_scopes t SET unit = x.unit FROM unnest(c_id, c_unit, c_fresh) AS x(id, unit, fresh)
            WHERE t.id = x.id AND x.fresh AND t.unit <> x.unit;
        INSERT INTO co_tracked (scope_id, name, overruns, late)
            SELECT x.id, x.name, 0, 0 FROM unnest(c_id, v_names, c_fresh, c_known) AS x(id, name, fresh, known)
            WHERE x.fresh AND x.known
            ON CONFLICT (scope_id) DO UPDATE SET overruns = 0, late = 0;
    END IF;
    UPDATE co_cells t SET lim = x.lim, cap = x.cap, spent = x.spent, reserved = x.reserved
        FROM unnest(c_id, c_lim, c_cap, c_spent, c_reserved, c_there, c_changed)
            AS x(id, lim, cap, spent, reserved, there, changed)
        WHERE t.scope_id = x.id AND t.window_start = 0 AND x.there AND x.changed;
    IF 0 < ANY (c_overruns) OR 0 < ANY (c_late) THEN
        UPDATE co_tracked t SET overruns = t.overruns + x.overruns, late = t.late + x.late
            FROM unnest(c_id, c_overruns, c_late) AS x(id, overruns, late) WHERE t.scope_id = x.id;
    END IF;
    IF v_forgets THEN
        DELETE FROM co_tracked t USING unnest(c_id, c_known) AS x(id, known) WHERE t.scope_id = x.id AND NOT x.known;
    END IF;
    RETURN '[' || array_to_string(v_answers, ',') || ']';
END
$function$

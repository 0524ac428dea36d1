-- Decides one request in one round trip: what `coordinator.authority.deciding` does for a batch. It runs as a statement
-- of its own, and so is one commit. p_now is for tests: without it the database's clock counts.
--
-- o_outcome is 'decided', 'known' (the key was used before; the caller compares o_body_hash), 'rules' (other rules hold
-- by now), 'unfunded' (only the balance that was seen last is in the way, and the request is not final), or 'again'
-- (somebody else used the key, or made one of the cells, at the same moment). Nothing is written unless it is 'decided'.
CREATE OR REPLACE FUNCTION co_decide(
    p_chain bigint,
    p_wallet text,
    p_ask json,
    p_now double precision DEFAULT NULL,
    OUT o_outcome text,
    OUT o_id bigint,
    OUT o_state text,
    OUT o_transaction_id text,
    OUT o_body_hash text,
    OUT o_rule text,
    OUT o_message text,
    OUT o_lim bigint,
    OUT o_used bigint,
    OUT o_approval_id text
) RETURNS record LANGUAGE plpgsql AS $function$
DECLARE
    largest CONSTANT bigint := 9223372036854775807;
    hour CONSTANT bigint := 3600;
    buckets_that_count CONSTANT bigint := 25;
    a record;
    c record;
    v_now double precision := coalesce(p_now, extract(epoch FROM clock_timestamp()));
    v_time timestamp := to_timestamp(v_now) AT TIME ZONE 'UTC';
    v_windows bigint[];
    v_locked bigint;
    v_there bigint;
    v_rulebook bigint;
    v_pause record;
    v_limit bigint;
    v_bucket bigint;
    v_content jsonb;
    v_pair record;
    v_cells text[] := '{}';
    v_rolled text[];
    v_limits text[] := '{}';
    v_placed text[] := '{}';
    -- The cells as they will be, in the same order in each array.
    n_scope bigint[] := '{}';
    n_window bigint[] := '{}';
    n_there boolean[] := '{}';
    n_lim bigint[] := '{}';
    n_cap bigint[] := '{}';
    n_spent bigint[] := '{}';
    n_reserved bigint[] := '{}';
    n_buckets text[] := '{}';
    v_detail jsonb;
BEGIN
    SELECT * INTO a FROM json_to_record(p_ask) AS x(
        agent text, key text, body_hash text, provider text, category text, amount bigint, purpose text,
        purpose_salt text, purpose_hash text, terms text, number text, transaction_id text, gas bigint,
        rulebook bigint, approvals int, approval_seconds double precision, approval_id text, final boolean,
        rule text, message text, lim bigint, used bigint,
        scopes bigint[], amounts bigint[], limits bigint[], rules text[]
    );
    SELECT r.id, r.state, r.transaction_id, r.body_hash, r.rule, r.message, r.lim, r.used, q.approval_id
        INTO o_id, o_state, o_transaction_id, o_body_hash, o_rule, o_message, o_lim, o_used, o_approval_id
        FROM co_reservations r LEFT JOIN co_asks q ON q.reservation_id = r.id
        WHERE r.chain_id = p_chain AND r.wallet = p_wallet AND r.agent = a.agent AND r.key = a.key;
    IF FOUND THEN
        o_outcome := 'known';
        RETURN;
    END IF;

    SELECT array_agg(
            CASE s.period WHEN 'ever' THEN 0 WHEN 'rolling_day' THEN 0
                ELSE extract(epoch FROM date_trunc(s.period, v_time))::bigint END
            ORDER BY k.n
        ) INTO v_windows
        FROM unnest(a.scopes) WITH ORDINALITY AS k(scope_id, n) JOIN co_scopes s ON s.id = k.scope_id;
    PERFORM 1 FROM co_cells t JOIN unnest(a.scopes, v_windows) AS k(scope_id, window_start)
        ON t.scope_id = k.scope_id AND t.window_start = k.window_start
        ORDER BY t.scope_id, t.window_start FOR UPDATE OF t;
    GET DIAGNOSTICS v_locked = ROW_COUNT;
    -- A cell that was made while this waited is in the view of the next statement only. Locking it now would be out of
    -- order, and two who do that wait for one another.
    SELECT count(*) INTO v_there FROM co_cells t JOIN unnest(a.scopes, v_windows) AS k(scope_id, window_start)
        ON t.scope_id = k.scope_id AND t.window_start = k.window_start;
    IF v_there <> v_locked THEN
        o_outcome := 'again';
        RETURN;
    END IF;

    -- Now that the cells are locked: whoever changes the rules holds them too.
    SELECT t.rulebook INTO v_rulebook FROM co_treasuries t WHERE t.chain_id = p_chain AND t.wallet = p_wallet;
    SELECT p.agent, p.reason INTO v_pause FROM co_pauses p
        WHERE p.chain_id = p_chain AND p.wallet = p_wallet AND p.agent IN ('', a.agent)
        ORDER BY length(p.agent) LIMIT 1;
    IF FOUND THEN
        o_rule := 'paused';
        o_message := CASE v_pause.agent WHEN '' THEN 'Everything' ELSE 'Agent' END || ' is paused: ' || v_pause.reason;
    ELSIF a.rulebook IS DISTINCT FROM coalesce(v_rulebook, 0) THEN
        o_outcome := 'rules';
        RETURN;
    ELSIF a.rule IS NOT NULL THEN
        o_rule := a.rule;
        o_message := a.message;
        o_lim := a.lim;
        o_used := a.used;
    ELSE
        FOR c IN
            SELECT k.amount, k.lim, k.rule, k.window_start, s.id AS scope_id, s.kind, s.key, s.period, s.unit, s.frozen,
                t.scope_id IS NOT NULL AS there, t.lim AS cell_lim, t.cap, coalesce(t.spent, 0) AS spent,
                coalesce(t.reserved, 0) AS reserved, t.buckets
            FROM unnest(a.scopes, v_windows, a.amounts, a.limits, a.rules) WITH ORDINALITY
                AS k(scope_id, window_start, amount, lim, rule, n)
            JOIN co_scopes s ON s.id = k.scope_id
            LEFT JOIN co_cells t ON t.scope_id = k.scope_id AND t.window_start = k.window_start
            ORDER BY k.n
        LOOP
            IF c.frozen IS NOT NULL THEN
                o_rule := 'scope_frozen';
                o_message := 'Nothing may be charged to ' || c.kind || CASE c.key WHEN '' THEN '' ELSE ' ' || c.key END
                    || ' (' || c.period || ')' || CASE c.unit WHEN 'ETH' THEN ' in ETH' ELSE '' END || ': ' || c.frozen;
                EXIT;
            END IF;
            v_bucket := 0;
            v_content := NULL;
            v_rolled := '{}';
            IF c.period = 'rolling_day' THEN
                v_content := coalesce(c.buckets, '{}')::jsonb;
                v_bucket := floor(v_now / hour)::bigint * hour;
                SELECT greatest(v_bucket, max(b.key::bigint)) INTO v_bucket FROM jsonb_each(v_content) AS b;
                FOR v_pair IN SELECT b.key, (b.value ->> 0)::bigint AS spent, (b.value ->> 1)::bigint AS reserved
                    FROM jsonb_each(v_content) AS b WHERE b.key::bigint < v_bucket - (buckets_that_count - 1) * hour
                LOOP
                    v_content := v_content - v_pair.key;
                    c.spent := c.spent - v_pair.spent;
                    c.reserved := c.reserved - v_pair.reserved;
                    v_rolled := v_rolled || ('[' || c.scope_id || ',' || c.window_start || ',' || -v_pair.spent || ','
                        || -v_pair.reserved || ',' || v_pair.key || ']');
                END LOOP;
            END IF;
            v_limit := coalesce(CASE WHEN c.kind = 'treasury' THEN CASE WHEN c.there THEN c.cell_lim ELSE 0 END
                ELSE c.lim END, largest);
            IF c.amount > v_limit - c.spent - c.reserved THEN
                o_rule := c.rule;
                o_lim := v_limit;
                o_used := c.spent + c.reserved;
                EXIT;
            END IF;
            CONTINUE WHEN c.amount = 0;
            IF NOT c.there OR (c.kind <> 'treasury' AND c.cell_lim IS DISTINCT FROM c.lim) THEN
                c.cap := CASE WHEN c.lim IS NULL THEN largest ELSE greatest(c.lim, c.spent + c.reserved) END;
                c.cell_lim := c.lim;
                v_limits := v_limits || ('[' || c.scope_id || ',' || c.window_start || ','
                    || coalesce(c.lim::text, 'null') || ',' || c.cap || ']');
            END IF;
            IF v_content IS NOT NULL THEN
                v_content := jsonb_set(v_content, ARRAY[v_bucket::text], jsonb_build_array(
                    coalesce((v_content -> v_bucket::text ->> 0)::bigint, 0),
                    coalesce((v_content -> v_bucket::text ->> 1)::bigint, 0) + c.amount));
            END IF;
            v_cells := v_cells || v_rolled
                || ('[' || c.scope_id || ',' || c.window_start || ',0,' || c.amount || ',' || v_bucket || ']');
            v_placed := v_placed
                || ('[' || c.scope_id || ',' || c.window_start || ',' || c.amount || ',' || v_bucket || ']');
            n_scope := n_scope || c.scope_id;
            n_window := n_window || c.window_start;
            n_there := n_there || c.there;
            n_lim := n_lim || c.cell_lim;
            n_cap := n_cap || c.cap;
            n_spent := n_spent || c.spent;
            n_reserved := n_reserved || c.reserved + c.amount;
            n_buckets := n_buckets || v_content::text;
        END LOOP;
    END IF;
    IF o_rule IN ('treasury_balance', 'treasury_gas') AND NOT a.final THEN
        o_outcome := 'unfunded';
        RETURN;
    END IF;

    o_transaction_id := a.transaction_id;
    o_body_hash := a.body_hash;
    o_state := CASE WHEN o_rule IS NOT NULL THEN 'denied' WHEN a.approvals > 0 THEN 'pending_approval' ELSE 'held' END;
    v_detail := jsonb_build_object('key', a.key, 'body_hash', a.body_hash, 'provider', a.provider,
        'category', a.category, 'amount', a.amount, 'transaction_id', a.transaction_id, 'gas', CASE o_state WHEN 'denied' THEN 0 ELSE a.gas END,
        'purpose_hash', a.purpose_hash, 'rulebook', v_rulebook);
    IF o_state = 'denied' THEN
        v_detail := v_detail || jsonb_build_object('denial', jsonb_build_array(o_rule, o_lim, o_used));
        v_placed := '{}';
    ELSE
        v_detail := v_detail || jsonb_build_object('cells', ('[' || array_to_string(v_cells, ',') || ']')::jsonb);
        IF cardinality(v_limits) > 0 THEN
            v_detail := v_detail || jsonb_build_object('limits', ('[' || array_to_string(v_limits, ',') || ']')::jsonb);
        END IF;
    END IF;
    INSERT INTO co_reservations (chain_id, wallet, agent, key, body_hash, provider, category, amount, purpose,
            purpose_salt, purpose_hash, terms, number, transaction_id, rulebook, state, placed, gas, promised, rule,
            message, lim, used, returned, settled, created_at, updated_at)
        VALUES (p_chain, p_wallet, a.agent, a.key, a.body_hash, a.provider, a.category, a.amount, a.purpose,
            a.purpose_salt, a.purpose_hash, a.terms, a.number, a.transaction_id, v_rulebook, o_state,
            '[' || array_to_string(v_placed, ',') || ']', CASE o_state WHEN 'denied' THEN 0 ELSE a.gas END,
            o_state <> 'denied', o_rule, o_message, o_lim, o_used, 0, false, v_now, v_now)
        ON CONFLICT (chain_id, wallet, agent, key) DO NOTHING
        RETURNING id INTO o_id;
    IF o_id IS NULL THEN
        o_outcome := 'again';
        RETURN;
    END IF;
    INSERT INTO co_journal (operation_id, chain_id, wallet, agent, at, event, before, after, detail, reservation_id)
        VALUES (NULL, p_chain, p_wallet, a.agent, v_now,
            CASE o_state WHEN 'denied' THEN 'denied' WHEN 'held' THEN 'granted' ELSE 'approval_wanted' END,
            NULL, o_state, v_detail::text, o_id);
    o_outcome := 'decided';
    IF o_state = 'denied' THEN
        RETURN;
    END IF;
    IF o_state = 'held' THEN
        INSERT INTO co_dispatches (reservation_id, chain_id, wallet, agent, state, alone, created_at)
            VALUES (o_id, p_chain, p_wallet, a.agent, 'waiting', false, v_now);
    ELSE
        o_approval_id := a.approval_id;
        INSERT INTO co_asks (reservation_id, chain_id, wallet, approval_id, required, state, asked_at, expires_at)
            VALUES (o_id, p_chain, p_wallet, a.approval_id, a.approvals, 'waiting', v_now, v_now + a.approval_seconds);
    END IF;
    UPDATE co_cells t SET lim = n.lim, cap = n.cap, spent = n.spent, reserved = n.reserved, buckets = n.buckets
        FROM unnest(n_scope, n_window, n_there, n_lim, n_cap, n_spent, n_reserved, n_buckets)
            AS n(scope_id, window_start, there, lim, cap, spent, reserved, buckets)
        WHERE t.scope_id = n.scope_id AND t.window_start = n.window_start AND n.there;
    IF false = ANY(n_there) THEN
        -- If somebody else makes one of them at the same moment, this fails as a whole, and the caller tries again.
        INSERT INTO co_cells (scope_id, window_start, lim, cap, spent, reserved, buckets)
            SELECT n.scope_id, n.window_start, n.lim, n.cap, n.spent, n.reserved, n.buckets
            FROM unnest(n_scope, n_window, n_there, n_lim, n_cap, n_spent, n_reserved, n_buckets)
                AS n(scope_id, window_start, there, lim, cap, spent, reserved, buckets)
            WHERE NOT n.there;
    END IF;
END
$function$

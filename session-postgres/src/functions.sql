-- Version 1 of the schema: the functions. The writes first. Each is called by itself, as one statement and so one
-- transaction: no lock waits for a client. Under READ COMMITTED every statement inside sees the newest, and what it has
-- locked stays as it is.
--
-- They are called with the version of the schema that the caller was written for, and refuse any other.

CREATE FUNCTION check_version(written_for integer) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    meta session_engine_meta;
BEGIN
    SELECT * INTO meta FROM session_engine_meta WHERE one;
    IF meta.schema_version IS DISTINCT FROM written_for THEN
        RAISE EXCEPTION 'the schema has version %, the caller writes version %', meta.schema_version, written_for
            USING ERRCODE = 'SE002';
    END IF;
    RETURN meta.xact_offset;
END
$body$;

-- The last activity in a scope, or NULL if there is none that can be read.
CREATE FUNCTION scope_seen(seen jsonb, slot text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $body$
    SELECT CASE
        WHEN jsonb_typeof(seen -> slot) = 'number' AND (seen ->> slot) ~ '^-?[0-9]{1,19}$'
             AND (seen ->> slot)::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
        THEN (seen ->> slot)::bigint
    END
$body$;

-- A log of raises with one more, of which the last 64 are kept. It only tells why, and a raise has to win: a log
-- that is none is begun anew.
CREATE FUNCTION raised(log jsonb, raise jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $body$
    WITH longer AS (
        SELECT CASE WHEN jsonb_typeof(log) = 'array' THEN log ELSE '[]' END || raise AS log
    )
    SELECT CASE
        WHEN jsonb_array_length(log) <= 64 THEN log
        ELSE (SELECT jsonb_agg(kept ORDER BY place) FROM jsonb_array_elements(log) WITH ORDINALITY AS k (kept, place)
              WHERE place > jsonb_array_length(log) - 64)
    END FROM longer
$body$;

-- Carries out changes, each wholly or not at all, as if one after the other. One outcome each: `applied`, or
-- `exists:ID`, `moved:ID`, `fenced:SUBJECT`.
--
-- Rows are locked in one order for everybody: marks by subject, then sessions by id. A mark that is to be written
-- and is not there gets a row to lock, which is gone again unless it is written.
--
-- SQLSTATE SE001: somebody else was quicker with a row that was not there. Nothing is written; the same call again
-- finds it.
CREATE FUNCTION commit_changes(
    written_for integer, of_realm text,
    written_marks text[], locked_marks text[], locked_sessions uuid[], changes jsonb
) RETURNS text[] LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    last_number CONSTANT bigint := 9223372036854775807;
    xact_offset CONSTANT bigint := check_version(written_for);
    outcomes text[] := '{}';
    of_floor bigint := 0;
    made bigint := 0;
    base bigint;
    first_seq bigint;
    told bigint := 0;
    count bigint;
    change jsonb;
    this uuid;
    ours boolean;
    conflict text;
    fresh uuid[];
    before uuid;
    element jsonb;
    locked_mark text;
    locked_session uuid;
    w record;
    m marks;
    s record;
    r sessions;
BEGIN
    IF cardinality(written_marks) > 0 THEN
        INSERT INTO marks (realm, subject, version, epoch, settled)
        SELECT of_realm, k.subject, 0, 0, 0 FROM unnest(written_marks) WITH ORDINALITY AS k (subject, place)
        WHERE NOT EXISTS (SELECT FROM marks known WHERE known.realm = of_realm AND known.subject = k.subject)
        ORDER BY k.place ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS made = ROW_COUNT;
    END IF;
    IF cardinality(locked_marks) > 0 THEN
        -- One by one: without statistics, a list of keys would be looked for among all marks of the realm.
        FOR locked_mark IN SELECT k FROM unnest(locked_marks) AS k ORDER BY k COLLATE "C" LOOP
            PERFORM FROM marks WHERE realm = of_realm AND subject = locked_mark FOR NO KEY UPDATE;
        END LOOP;
        -- After the locks: an erasure of one of them may have raised it.
        SELECT floor INTO of_floor FROM realms WHERE realm = of_realm;
        of_floor := coalesce(of_floor, 0);
    END IF;
    IF cardinality(locked_sessions) > 0 THEN
        FOR locked_session IN SELECT k FROM unnest(locked_sessions) AS k ORDER BY k LOOP
            PERFORM FROM sessions WHERE realm = of_realm AND id = locked_session FOR NO KEY UPDATE;
        END LOOP;
    END IF;

    FOR change IN SELECT value FROM jsonb_array_elements(changes) LOOP
        this := (change ->> 'id')::uuid;
        ours := false;
        conflict := NULL;

        -- Everything is looked at before anything is written.
        FOR w IN SELECT * FROM jsonb_to_recordset(change -> 'marks') AS w (subject text, expected bigint) LOOP
            SELECT * INTO m FROM marks WHERE realm = of_realm AND subject = w.subject;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'a mark was erased meanwhile' USING ERRCODE = 'SE001';
            END IF;
            IF m.change_id IS NULL THEN
                m.version := CASE w.subject WHEN '' THEN 0 ELSE of_floor END;
                m.epoch := m.version;
            END IF;
            ours := ours OR m.change_id IS NOT DISTINCT FROM this;
            -- What cannot be moved on was not read as it is either: to the change it has moved.
            IF m.version <> w.expected OR m.version < 0 OR m.version = last_number
               OR m.epoch < 0 OR m.epoch = last_number THEN
                conflict := coalesce(conflict, 'fenced:' || w.subject);
            END IF;
        END LOOP;
        fresh := '{}';
        FOR w IN SELECT * FROM jsonb_to_recordset(change -> 'inserts') AS w (id uuid) LOOP
            SELECT change_id INTO s FROM sessions WHERE realm = of_realm AND id = w.id;
            IF FOUND THEN
                ours := ours OR s.change_id = this;
                conflict := coalesce(conflict, 'exists:' || w.id);
            ELSIF w.id = ANY (fresh) THEN
                conflict := coalesce(conflict, 'exists:' || w.id);
            END IF;
            fresh := fresh || w.id;
        END LOOP;
        before := NULL;
        FOR w IN SELECT * FROM jsonb_to_recordset(change -> 'replacements')
            AS w (id uuid, expected bigint, decided_on bigint)
        LOOP
            SELECT format, version, change_id, seen_at INTO s FROM sessions WHERE realm = of_realm AND id = w.id;
            IF NOT FOUND THEN
                conflict := coalesce(conflict, 'moved:' || w.id);
                CONTINUE;
            END IF;
            ours := ours OR s.change_id = this;
            IF s.format <> 1 OR s.version <> w.expected OR s.version = last_number OR s.seen_at > w.decided_on
               OR w.id = before THEN
                conflict := coalesce(conflict, 'moved:' || w.id);
            END IF;
            before := w.id;
        END LOOP;
        IF ours THEN
            outcomes := outcomes || 'applied'::text;
            CONTINUE;
        END IF;
        IF conflict IS NOT NULL THEN
            outcomes := outcomes || conflict;
            CONTINUE;
        END IF;

        FOR w IN SELECT * FROM jsonb_to_recordset(change -> 'marks')
            AS w (subject text, epoch bigint, raise jsonb, stamp bytea)
        LOOP
            base := CASE w.subject WHEN '' THEN 0 ELSE of_floor END;
            UPDATE marks SET
                version = 1 + CASE WHEN change_id IS NULL THEN base ELSE version END,
                epoch = coalesce(w.epoch, CASE WHEN change_id IS NULL THEN base ELSE epoch END),
                settled = CASE WHEN change_id IS NULL THEN base ELSE settled END,
                change_id = this,
                stamp = coalesce(w.stamp, stamp),
                raises = CASE WHEN w.raise IS NULL THEN raises ELSE raised(raises, w.raise) END
            WHERE realm = of_realm AND subject = w.subject;
        END LOOP;
        IF change ? 'inserts' THEN
            INSERT INTO sessions SELECT * FROM jsonb_populate_recordset(NULL::sessions, change -> 'inserts')
            ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS count = ROW_COUNT;
            IF count <> cardinality(fresh) THEN
                RAISE EXCEPTION 'a session was inserted meanwhile' USING ERRCODE = 'SE001';
            END IF;
        END IF;
        FOR element IN SELECT value FROM jsonb_array_elements(change -> 'replacements') LOOP
            r := jsonb_populate_record(NULL::sessions, element);
            UPDATE sessions AS old SET
                format = r.format,
                version = old.version + 1,
                change_id = r.change_id,
                secret_hash = r.secret_hash,
                generation = r.generation,
                rotated_at = r.rotated_at,
                pending_hash = r.pending_hash,
                pending_salt = r.pending_salt,
                pending_at = r.pending_at,
                previous_hash = r.previous_hash,
                retired_at = r.retired_at,
                class = r.class,
                realm_epoch = r.realm_epoch,
                subject_epoch = r.subject_epoch,
                idle_timeout_ms = r.idle_timeout_ms,
                absolute_timeout_ms = r.absolute_timeout_ms,
                unclaimed_timeout_ms = r.unclaimed_timeout_ms,
                created_at = r.created_at,
                activated_at = r.activated_at,
                reauthenticated_at = r.reauthenticated_at,
                due_at = r.due_at,
                next_slot = r.next_slot,
                ended_at = r.ended_at,
                end_observed_at = r.end_observed_at,
                end_reason = r.end_reason,
                end_actor = r.end_actor,
                purge_at = r.purge_at,
                address = r.address,
                agent = r.agent,
                device = r.device,
                group_names = r.group_names,
                authentications = r.authentications,
                scopes = r.scopes,
                seen_at = greatest(old.seen_at, r.seen_at),
                scopes_seen = (
                    SELECT jsonb_object_agg(entry.key,
                                            greatest((entry.value)::bigint, scope_seen(old.scopes_seen, entry.key)))
                    FROM jsonb_each_text(r.scopes_seen) AS entry
                ),
                data = CASE WHEN (element -> 'keep')::boolean THEN old.data ELSE r.data END
            WHERE realm = of_realm AND id = r.id;
        END LOOP;
        FOR w IN SELECT * FROM jsonb_to_recordset(change -> 'reschedules')
            AS w (id uuid, expected bigint, due_at bigint)
        LOOP
            UPDATE sessions SET due_at = w.due_at
            WHERE realm = of_realm AND id = w.id AND version = w.expected AND num_nonnulls(ended_at) = 0;
        END LOOP;
        FOR w IN SELECT * FROM jsonb_to_recordset(change -> 'settles') AS w (subject text, epoch bigint) LOOP
            UPDATE marks SET settled = w.epoch
            WHERE realm = of_realm AND subject = w.subject AND settled < w.epoch AND change_id IS NOT NULL;
        END LOOP;
        IF change ? 'events' THEN
            IF first_seq IS NULL THEN
                first_seq := pg_current_xact_id()::text::bigint + xact_offset;
                IF first_seq >= 1::bigint << 43 THEN
                    RAISE EXCEPTION 'the server has had more transactions than events can count';
                END IF;
                first_seq := first_seq << 20;
            END IF;
            INSERT INTO events (realm, seq, change_id, kind, session, subject, reason, actor, at, observed_at,
                                purge_at, detail)
            SELECT of_realm, first_seq + told + e.place - 1, this, e.kind, e.session, e.subject, e.reason, e.actor,
                   e.at, e.observed_at, e.purge_at, e.detail
            FROM ROWS FROM (jsonb_to_recordset(change -> 'events') AS (
                kind text, session uuid, subject text, reason text, actor text, at bigint, observed_at bigint,
                purge_at bigint, detail text
            )) WITH ORDINALITY AS e (kind, session, subject, reason, actor, at, observed_at, purge_at, detail, place);
            GET DIAGNOSTICS count = ROW_COUNT;
            told := told + count;
        END IF;
        outcomes := outcomes || 'applied'::text;
    END LOOP;

    IF made > 0 THEN
        DELETE FROM marks WHERE realm = of_realm AND subject = ANY (written_marks) AND change_id IS NULL;
    END IF;
    RETURN outcomes;
END
$body$;

-- Records activity. One answer each, in order: `touched`, `fresh`, `not_live`. The rows are written in order of their
-- ids, so that two batches do not lock each other out.
CREATE FUNCTION touch_sessions(
    written_for integer, of_realm text,
    ids uuid[], slots bigint[], seen bigint[], if_after bigint[], if_before bigint[]
) RETURNS text[] LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    answers text[] := array_fill('not_live'::text, ARRAY[cardinality(ids)]);
    t record;
    known record;
BEGIN
    PERFORM check_version(written_for);
    -- Activity is visible at once, and on the disk soon: it is not worth a sync of its own.
    PERFORM set_config('synchronous_commit', 'off', true);
    FOR t IN SELECT * FROM unnest(ids, slots, seen, if_after, if_before) WITH ORDINALITY
        AS t (id, slot, seen_at, if_after, if_before, place) ORDER BY id, place
    LOOP
        LOOP
            IF t.slot = 0 THEN
                -- Not `ended_at IS NULL`: the indexes of what has not ended are larger ways to one session.
                UPDATE sessions SET seen_at = greatest(seen_at, t.seen_at)
                WHERE realm = of_realm AND id = t.id AND num_nonnulls(ended_at) = 0
                  AND seen_at > t.if_after AND seen_at <= t.if_before;
            ELSE
                UPDATE sessions SET scopes_seen = jsonb_set(scopes_seen, ARRAY[t.slot::text],
                    to_jsonb(greatest(scope_seen(scopes_seen, t.slot::text), t.seen_at)))
                WHERE realm = of_realm AND id = t.id AND num_nonnulls(ended_at) = 0
                  AND scope_seen(scopes_seen, t.slot::text) > t.if_after
                  AND scope_seen(scopes_seen, t.slot::text) <= t.if_before;
            END IF;
            IF FOUND THEN
                answers[t.place] := 'touched';
                EXIT;
            END IF;
            SELECT ended_at, CASE t.slot WHEN 0 THEN seen_at ELSE scope_seen(scopes_seen, t.slot::text) END AS seen_at
            INTO known FROM sessions WHERE realm = of_realm AND id = t.id;
            EXIT WHEN NOT FOUND OR known.ended_at IS NOT NULL OR known.seen_at IS NULL;
            IF known.seen_at > t.if_before THEN
                answers[t.place] := 'fresh';
                EXIT;
            END IF;
            EXIT WHEN known.seen_at <= t.if_after;
            -- Written by somebody else between the two statements: once more.
        END LOOP;
    END LOOP;
    RETURN answers;
END
$body$;

-- Removes what is old enough, at most so many of each. What somebody else holds is left for the next time.
CREATE FUNCTION purge_old(
    written_for integer, of_realm text, until bigint, most bigint, OUT records bigint, OUT events bigint
) LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    last_gone bigint;
BEGIN
    PERFORM check_version(written_for);
    DELETE FROM sessions s WHERE s.realm = of_realm AND s.id = ANY (ARRAY(
        SELECT old.id FROM sessions old
        WHERE old.realm = of_realm AND old.ended_at IS NOT NULL AND old.purge_at <= until
        ORDER BY old.purge_at, old.id LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS records = ROW_COUNT;
    WITH gone AS (
        DELETE FROM events e WHERE e.realm = of_realm AND e.seq = ANY (ARRAY(
            SELECT old.seq FROM events old WHERE old.realm = of_realm AND old.purge_at <= until
            ORDER BY old.purge_at, old.seq LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING e.seq
    )
    SELECT count(*), max(gone.seq) INTO events, last_gone FROM gone;
    -- Only what its age removes is missed by a reader; what is erased is not to be read by anybody.
    IF last_gone IS NOT NULL THEN
        INSERT INTO realms AS known (realm, floor, events_purged) VALUES (of_realm, 0, last_gone)
        ON CONFLICT (realm) DO UPDATE SET events_purged = greatest(known.events_purged, excluded.events_purged);
    END IF;
END
$body$;

-- Removes what has ended and what is told of a subject, at most so many of each; and his mark, once nothing else is
-- left, whose version and epoch are below the realm's floor from then on.
CREATE FUNCTION erase_subject(
    written_for integer, of_realm text, of_subject text, most bigint, OUT records bigint, OUT events bigint
) LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $body$
DECLARE
    locked boolean;
    new_floor bigint;
BEGIN
    PERFORM check_version(written_for);
    -- No session of his is issued until this is done; unless he has no mark yet: then one that a login makes meanwhile
    -- is left alone.
    PERFORM FROM marks m WHERE m.realm = of_realm AND m.subject = of_subject FOR UPDATE;
    locked := FOUND;
    DELETE FROM sessions s WHERE s.realm = of_realm AND s.id = ANY (ARRAY(
        SELECT old.id FROM sessions old
        WHERE old.realm = of_realm AND old.subject = of_subject AND old.ended_at IS NOT NULL
        ORDER BY old.id LIMIT most FOR UPDATE));
    GET DIAGNOSTICS records = ROW_COUNT;
    DELETE FROM events e WHERE e.realm = of_realm AND e.seq = ANY (ARRAY(
        SELECT old.seq FROM events old WHERE old.realm = of_realm AND old.subject = of_subject
        ORDER BY old.seq LIMIT most FOR UPDATE));
    GET DIAGNOSTICS events = ROW_COUNT;
    IF NOT locked
       OR EXISTS (SELECT FROM sessions s WHERE s.realm = of_realm AND s.subject = of_subject)
       OR EXISTS (SELECT FROM events e WHERE e.realm = of_realm AND e.subject = of_subject) THEN
        RETURN;
    END IF;
    DELETE FROM marks m WHERE m.realm = of_realm AND m.subject = of_subject
    RETURNING least(greatest(m.version, m.epoch), 9223372036854775806) + 1 INTO new_floor;
    IF new_floor IS NOT NULL THEN
        INSERT INTO realms AS known (realm, floor, events_purged) VALUES (of_realm, new_floor, 0)
        ON CONFLICT (realm) DO UPDATE SET floor = greatest(known.floor, excluded.floor);
    END IF;
END
$body$;

-- What the sweep asks of marks, with its way kept to the one index that holds the few that are not settled: the
-- server cannot know how few these are, and might read all marks instead.
CREATE FUNCTION unsettled_marks(of_realm text, most bigint) RETURNS TABLE (subject text, epoch bigint)
LANGUAGE sql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $body$
    SELECT m.subject, m.epoch FROM marks m
    WHERE m.realm = of_realm AND m.settled < m.epoch ORDER BY m.subject LIMIT most
$body$;

-- The limit within goes from the marks to their sessions. Without it, the way may be through all sessions.
CREATE FUNCTION sessions_of_unsettled_marks(of_realm text, from_id uuid, most bigint) RETURNS SETOF uuid
LANGUAGE sql STABLE
SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off AS $body$
    SELECT found.id FROM marks m CROSS JOIN LATERAL (
        SELECT s.id FROM sessions s
        WHERE s.realm = of_realm AND s.subject = m.subject AND s.ended_at IS NULL
          AND s.subject_epoch < m.epoch AND s.id >= from_id
        ORDER BY s.id LIMIT most) found
    WHERE m.realm = of_realm AND m.settled < m.epoch AND m.subject <> '' ORDER BY found.id LIMIT most
$body$;

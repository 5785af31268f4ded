-- Version 1 of the schema: the tables. Instants are milliseconds since 1970-01-01 UTC, durations are milliseconds,
-- lists and maps are JSON; a list that is empty is NULL. What is a key is compared byte for byte (COLLATE "C").

CREATE TABLE session_engine_meta (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one), -- there is one row
    schema_version integer NOT NULL,
    xact_offset    bigint NOT NULL DEFAULT 0 -- what makes this server's transactions later than those of its events
);

CREATE TABLE sessions (
    realm                text COLLATE "C" NOT NULL,
    id                   uuid NOT NULL,
    format               integer NOT NULL, -- of this row; 1
    version              bigint NOT NULL,  -- moves with every replacement
    change_id            uuid NOT NULL,    -- of the change that wrote the row last
    secret_hash          bytea NOT NULL,   -- SHA-256; the secret itself is nowhere
    subject              text COLLATE "C", -- NULL while anonymous
    class                text NOT NULL,
    realm_epoch          bigint NOT NULL,  -- ended if older than that of the realm's mark
    subject_epoch        bigint NOT NULL,  -- ended if older than that of the subject's mark
    idle_timeout_ms      bigint,
    absolute_timeout_ms  bigint,
    unclaimed_timeout_ms bigint,
    created_at           bigint NOT NULL,
    activated_at         bigint,
    reauthenticated_at   bigint,
    due_at               bigint NOT NULL,  -- when the sweep looks at it: the session may live on
    next_slot            bigint NOT NULL,
    ended_at             bigint,           -- NULL until an end is written down
    end_observed_at      bigint,
    end_reason           text,
    end_actor            text,             -- system, subject, or operator:NAME
    purge_at             bigint,
    address              text,
    agent                text,
    device               text,
    group_names          text,             -- ["accounting"]
    authentications      text,             -- [{"method":"password","level":1,"at":0}]
    scopes               text,             -- [{"name":"finance","slot":1,"entered_at":0}]
    seen_at              bigint NOT NULL,  -- the last activity
    scopes_seen          jsonb,            -- the last activity in each scope, by slot: {"1":0}
    data                 text,             -- what the application keeps in it: a JSON object, as it was given
    PRIMARY KEY (realm, id)
) WITH (fillfactor = 80);

-- No index holds seen_at or scopes_seen, and each page has room: so a touch rewrites no index (it is HOT).
CREATE INDEX sessions_unended ON sessions (realm, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_of_subject ON sessions (realm, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX sessions_of_subject_unended ON sessions (realm, subject, id)
    WHERE subject IS NOT NULL AND ended_at IS NULL;
CREATE INDEX sessions_due ON sessions (realm, due_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_to_purge ON sessions (realm, purge_at, id) WHERE ended_at IS NOT NULL;

-- A mark ends all that was issued under an older epoch. That of a whole realm has the subject ''.
CREATE TABLE marks (
    realm     text COLLATE "C" NOT NULL,
    subject   text COLLATE "C" NOT NULL,
    version   bigint NOT NULL, -- moves with every write
    epoch     bigint NOT NULL, -- moves with every raise
    settled   bigint NOT NULL, -- the sweep has found nothing below this epoch
    change_id uuid,            -- NULL only inside a transaction: a place to lock, which means no mark
    stamp     bytea,           -- the application's credential stamp
    raises    jsonb,           -- [{"epoch":1,"reason":"signed_out","actor":"subject","at":0}], the last 64
    PRIMARY KEY (realm, subject)
) WITH (fillfactor = 80);

CREATE INDEX marks_unsettled ON marks (realm, subject) WHERE settled < epoch;

CREATE TABLE realms (
    realm         text COLLATE "C" PRIMARY KEY,
    floor         bigint NOT NULL, -- version and epoch of any subject's mark that is not there
    events_purged bigint NOT NULL  -- events up to this seq may have been purged
);

CREATE TABLE events (
    realm       text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL, -- the transaction, times 2^20, and the place of the event in it
    change_id   uuid NOT NULL,
    kind        text NOT NULL,
    session     uuid,
    subject     text COLLATE "C",
    reason      text,
    actor       text NOT NULL,
    at          bigint NOT NULL, -- when it was so
    observed_at bigint NOT NULL, -- when it was noticed
    purge_at    bigint NOT NULL,
    detail      text,            -- {"address":"192.0.2.7"}
    PRIMARY KEY (realm, seq)
);

CREATE INDEX events_by_session ON events (realm, session, seq) WHERE session IS NOT NULL;
CREATE INDEX events_by_subject ON events (realm, subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX events_to_purge ON events (realm, purge_at, seq);

-- For people. Nothing in the program reads it.
CREATE VIEW sessions_for_humans AS
SELECT s.realm, s.id, s.subject, s.class,
       to_timestamp(s.created_at / 1000.0) AS created,
       to_timestamp(s.seen_at / 1000.0) AS last_seen,
       to_timestamp(s.ended_at / 1000.0) AS ended,
       s.end_reason, s.end_actor, s.address, s.agent,
       s.ended_at IS NULL AND (s.realm_epoch < coalesce(r.epoch, 0) OR s.subject_epoch < coalesce(m.epoch, 0))
           AS revoked_by_mark,
       octet_length(s.data) AS data_bytes
FROM sessions s
LEFT JOIN marks r ON r.realm = s.realm AND r.subject = ''
LEFT JOIN marks m ON m.realm = s.realm AND m.subject = s.subject;

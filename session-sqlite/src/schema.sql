-- Version 1 of the schema. Instants are milliseconds since 1970-01-01 UTC, durations are milliseconds, ids of
-- sessions are UUIDs as lower-case text, lists and maps are JSON; a list that is empty is NULL.

CREATE TABLE sessions (
    no                   INTEGER PRIMARY KEY AUTOINCREMENT, -- never that of another session, even a deleted one
    realm                TEXT NOT NULL,
    id                   TEXT NOT NULL,
    format               INTEGER NOT NULL, -- of this row; 1
    version              INTEGER NOT NULL, -- moves with every replacement
    change_id            BLOB NOT NULL,    -- of the change that wrote the row last
    secret_hash          BLOB NOT NULL,    -- SHA-256; the secret itself is nowhere
    generation           INTEGER NOT NULL, -- moves when the secret is replaced at once
    rotated_at           INTEGER,          -- since when the secret is the current one
    pending_hash         BLOB,             -- of the secret to come, once it is minted
    pending_salt         BLOB,             -- what it is derived with
    pending_at           INTEGER,
    previous_hash        BLOB,             -- of the secret before
    retired_at           INTEGER,
    subject              TEXT,             -- NULL while anonymous
    class                TEXT NOT NULL,
    realm_epoch          INTEGER NOT NULL, -- ended if older than that of the realm's mark
    subject_epoch        INTEGER NOT NULL, -- ended if older than that of the subject's mark
    idle_timeout_ms      INTEGER,
    absolute_timeout_ms  INTEGER,
    unclaimed_timeout_ms INTEGER,
    created_at           INTEGER NOT NULL,
    activated_at         INTEGER,
    reauthenticated_at   INTEGER,
    due_at               INTEGER NOT NULL, -- when the sweep looks at it: the session may live on
    next_slot            INTEGER NOT NULL,
    ended_at             INTEGER,          -- NULL until an end is written down
    end_observed_at      INTEGER,
    end_reason           TEXT,
    end_actor            TEXT,             -- system, subject, or operator:NAME
    purge_at             INTEGER,
    address              TEXT,
    agent                TEXT,
    device               TEXT,
    group_names          TEXT,             -- ["accounting"]
    authentications      TEXT,             -- [{"method":"password","level":1,"at":0}]
    scopes               TEXT              -- [{"name":"finance","slot":1,"entered_at":0}]
) STRICT;

CREATE UNIQUE INDEX sessions_by_id ON sessions (realm, id);
CREATE INDEX sessions_unended ON sessions (realm, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_subject ON sessions (realm, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX sessions_by_subject_unended ON sessions (realm, subject, id)
    WHERE subject IS NOT NULL AND ended_at IS NULL; -- a login does not pay for those that have ended
CREATE INDEX sessions_due ON sessions (realm, due_at, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_to_purge ON sessions (realm, purge_at, id) WHERE ended_at IS NOT NULL;

-- The last activity of a session (slot 0) and of each scope that it has entered. Apart from the session and
-- without an index, because it is written far more often than anything else.
CREATE TABLE touches (
    session INTEGER NOT NULL, -- sessions.no
    slot    INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (session, slot)
) STRICT, WITHOUT ROWID;

-- What the application keeps in a session. Apart from it, so that a rotation or an end does not rewrite it.
CREATE TABLE session_data (
    session INTEGER PRIMARY KEY, -- sessions.no
    data    TEXT NOT NULL        -- a JSON object
) STRICT;

-- However a session is deleted, nothing of it is left behind.
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions BEGIN
    DELETE FROM touches WHERE session = old.no;
    DELETE FROM session_data WHERE session = old.no;
END;

-- A mark ends all that was issued under an older epoch. That of a whole realm has the subject ''.
CREATE TABLE marks (
    realm     TEXT NOT NULL,
    subject   TEXT NOT NULL,
    version   INTEGER NOT NULL, -- moves with every write
    epoch     INTEGER NOT NULL, -- moves with every raise
    settled   INTEGER NOT NULL, -- the sweep has found nothing below this epoch
    change_id BLOB NOT NULL,
    stamp     BLOB,             -- the application's credential stamp
    raises    TEXT,             -- [{"epoch":1,"reason":"signed_out","actor":"subject","at":0}], the last 64
    PRIMARY KEY (realm, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX marks_unsettled ON marks (realm, subject) WHERE settled < epoch;

CREATE TABLE realms (
    realm          TEXT PRIMARY KEY,
    floor          INTEGER NOT NULL, -- version and epoch of any subject's mark that is not there
    events_purged  INTEGER NOT NULL  -- events up to this seq may have been purged
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    realm       TEXT NOT NULL,
    change_id   BLOB NOT NULL,
    kind        TEXT NOT NULL,
    session     TEXT,             -- sessions.id
    subject     TEXT,
    reason      TEXT,
    actor       TEXT NOT NULL,
    at          INTEGER NOT NULL, -- when it was so
    observed_at INTEGER NOT NULL, -- when it was noticed
    purge_at    INTEGER NOT NULL,
    detail      TEXT              -- {"address":"192.0.2.7"}
) STRICT;

CREATE INDEX events_by_realm ON events (realm);
CREATE INDEX events_by_session ON events (realm, session) WHERE session IS NOT NULL;
CREATE INDEX events_by_subject ON events (realm, subject) WHERE subject IS NOT NULL;
CREATE INDEX events_to_purge ON events (realm, purge_at);

-- For people. Nothing in the program reads it.
CREATE VIEW sessions_for_humans AS
SELECT s.realm, s.id, s.subject, s.class,
       datetime(s.created_at / 1000, 'unixepoch') AS created,
       datetime(t.seen_at / 1000, 'unixepoch') AS last_seen,
       datetime(s.ended_at / 1000, 'unixepoch') AS ended,
       s.end_reason, s.end_actor, s.address, s.agent,
       s.ended_at IS NULL AND (s.realm_epoch < coalesce(r.epoch, 0) OR s.subject_epoch < coalesce(m.epoch, 0))
           AS revoked_by_mark,
       length(d.data) AS data_bytes
FROM sessions s
LEFT JOIN touches t ON t.session = s.no AND t.slot = 0
LEFT JOIN marks r ON r.realm = s.realm AND r.subject = ''
LEFT JOIN marks m ON m.realm = s.realm AND m.subject = s.subject
LEFT JOIN session_data d ON d.session = s.no;

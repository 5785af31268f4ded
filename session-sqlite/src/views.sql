-- What the statements of this connection read: temporary, so that they are no part of the file, and so that
-- the text of the statement that every request runs is short.

-- A session with its last activity and both marks. A raise is read only where it has ended the session.
CREATE TEMP VIEW stored AS
SELECT s.id, s.format, s.version, s.secret_hash, s.generation, s.rotated_at, s.pending_hash, s.pending_salt,
       s.pending_at, s.previous_hash, s.retired_at, s.subject, s.class, s.realm_epoch, s.subject_epoch,
       s.idle_timeout_ms, s.absolute_timeout_ms, s.unclaimed_timeout_ms,
       s.created_at, s.activated_at, s.reauthenticated_at, t.seen_at, s.due_at, s.next_slot,
       s.end_reason, s.end_actor, s.ended_at, s.end_observed_at, s.purge_at,
       s.address, s.agent, s.device, s.group_names, s.authentications, s.scopes,
       CASE WHEN s.scopes IS NOT NULL THEN
           (SELECT json_group_object(slot, seen_at) FROM main.touches WHERE session = s.no AND slot > 0)
       END AS scopes_seen,
       r.version AS realm_mark, r.epoch AS realm_mark_epoch, r.stamp AS realm_mark_stamp,
       CASE WHEN s.realm_epoch < r.epoch THEN r.raises END AS realm_mark_raises,
       m.version AS mark, m.epoch AS mark_epoch, m.stamp AS mark_stamp,
       CASE WHEN s.subject_epoch < m.epoch THEN m.raises END AS mark_raises,
       CASE WHEN m.version IS NULL AND s.subject IS NOT NULL THEN
           (SELECT floor FROM main.realms WHERE realm = s.realm)
       END AS floor,
       s.no, s.realm
FROM main.sessions s
LEFT JOIN main.touches t ON t.session = s.no AND t.slot = 0
LEFT JOIN main.marks r ON r.realm = s.realm AND r.subject = ''
LEFT JOIN main.marks m ON m.realm = s.realm AND m.subject = s.subject;

CREATE TEMP VIEW loaded AS
SELECT v.*, d.data FROM stored v LEFT JOIN main.session_data d ON d.session = v.no;

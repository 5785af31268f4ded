//! Changing a live session: its data, its secret.

use super::issue::encode;
use super::resume::handle;
use super::{Answer, Error, Issued, Session, Sessions, look_again};
use crate::lifecycle::{Command, Decision, decide, noted};
use crate::store::Stored;
use crate::{ChangeSet, Data, DataWrite, EncodedData, Note, Policy, SessionToken, Timestamp};

impl Sessions {
    /// Edits the data, key by key. Edits to different keys never conflict; of two edits to one key the later
    /// stands. Reads once; writes once if anything changes; again when another change wins.
    ///
    /// # Errors
    /// The data would be larger than the policy allows, or what is stored is damaged; the store fails.
    pub async fn edit(
        &self,
        session: &Session,
        edits: &ChangeSet,
    ) -> Result<Answer<Session>, Error> {
        // Edits of keys may be decided anew: they say what the keys are to be, whatever was there.
        let answer = self
            .write_data(session, Again::AfterUnknown, |data| (edits.apply(data), none()))
            .await?;
        Ok(answer.map(|(session, ())| session))
    }

    /// Edits the data by a function of what is there. It is run again on the newest data when another change
    /// wins, so that nothing is lost between two tabs; it must not do anything else. What it leaves in the data
    /// is written whatever it returns: an `Err` is an answer like any other, and undoes nothing.
    ///
    /// Reads once; writes once if anything changes; again when another change wins.
    ///
    /// # Errors
    /// The data would be larger than the policy allows, or what is stored is damaged; the store fails. If the
    /// outcome of a write is unknown, the function is not run again.
    pub async fn update<T>(
        &self,
        session: &Session,
        mut edit: impl FnMut(&mut Data) -> T + Send,
    ) -> Result<Answer<(Session, T)>, Error>
    where
        T: Send,
    {
        self.write_data(session, Again::OnConflict, |data| (edit(data), none())).await
    }

    /// Edits the data as [`Sessions::update`] does, and tells of it in the same commit: either the data and the
    /// notes are written, or none of them. Nothing is written if the function changes no data and notes nothing.
    ///
    /// Of several notes of one kind the last stands: a reader of the history knows the events of one change by
    /// their kinds. An event tells the subject as the one who caused it.
    ///
    /// Reads once; writes once if anything changes; again when another change wins.
    ///
    /// # Errors
    /// As those of [`Sessions::update`].
    ///
    /// ```
    /// use std::sync::Arc;
    /// use session_core::{MemoryStore, NewSession, Note, Policy, Sessions};
    ///
    /// # pollster::block_on(async {
    /// let sessions = Sessions::new(Arc::new(MemoryStore::new()), Policy::default());
    /// let session = sessions.create(NewSession::default()).await.unwrap().session;
    /// let answer = sessions.update_noting(&session, |data| {
    ///     let set = data.set("exported", true);
    ///     (set, Note::new("exported").into_iter().collect())
    /// });
    /// let (session, set) = answer.await.unwrap().live().unwrap();
    /// set.unwrap();
    /// assert_eq!(session.get("exported").unwrap(), Some(true));
    /// # });
    /// ```
    pub async fn update_noting<T>(
        &self,
        session: &Session,
        edit: impl FnMut(&mut Data) -> (T, Vec<Note>) + Send,
    ) -> Result<Answer<(Session, T)>, Error>
    where
        T: Send,
    {
        self.write_data(session, Again::OnConflict, edit).await
    }

    async fn write_data<T: Send>(
        &self,
        session: &Session,
        again: Again,
        mut edit: impl FnMut(&mut Data) -> (T, Vec<Note>) + Send,
    ) -> Result<Answer<(Session, T)>, Error> {
        let policy = self.policy();
        let mut tries = self.tries();
        let answer = async {
            loop {
                let Some(mut stored) = self.reopen(session).await? else {
                    return Ok(Answer::Absent);
                };
                let now = self.now();
                match decide(&stored.record, &stored.marks, Command::Update, &policy, now) {
                    Ok(Decision::Write(mut write)) => {
                        let before = stored
                            .data
                            .as_ref()
                            .map(EncodedData::decode)
                            .transpose()?
                            .unwrap_or_default();
                        let mut after = before.clone();
                        let (value, notes) = edit(&mut after);
                        let notes = last_of_each_kind(notes);
                        if after == before && notes.is_empty() {
                            return Ok(still(session, stored, &policy, now, value));
                        }
                        let mut encoded = stored.data.clone();
                        if after != before {
                            encoded = encode(&after, &policy)?;
                            write.data = encoded.clone().map_or(DataWrite::Drop, DataWrite::Set);
                        }
                        let told = notes.into_iter();
                        write
                            .events
                            .extend(told.map(|note| noted(&stored.record, note, &policy, now)));
                        let sent = self.write(write, stored.version).await?;
                        let applied = match again {
                            Again::AfterUnknown => tries.applied(sent),
                            Again::OnConflict => sent.decided_once()?.is_applied(),
                        };
                        if applied {
                            stored.data = encoded;
                            return Ok(still(session, stored, &policy, now, value));
                        }
                    }
                    Ok(_) => return Ok(Answer::Absent),
                    Err(ended) => {
                        if let Ok(end) = self.write_end(*ended, stored.version).await? {
                            return Ok(Answer::Ended(end));
                        }
                    }
                }
                tries.look_again()?;
            }
        }
        .await;
        tries.conclude(answer)
    }

    /// Gives the session a new secret: the old token opens nothing from then on. Its id, its data and its
    /// deadlines stay. Reads once, writes once.
    ///
    /// # Errors
    /// The store or the source of randomness fails. If the outcome is unknown, either token may be the one.
    pub async fn rotate(&self, session: &Session) -> Result<Answer<Issued>, Error> {
        let policy = self.policy();
        let patience = self.patience();
        loop {
            let Some(mut stored) = self.reopen(session).await? else {
                return Ok(Answer::Absent);
            };
            let now = self.now();
            let token = SessionToken::new(session.id(), self.random())?;
            let command = Command::Rotate { secret: token.hash(self.realm()) };
            match decide(&stored.record, &stored.marks, command, &policy, now) {
                Ok(Decision::Write(write)) => {
                    let record = write.record.clone();
                    if self.write(write, stored.version).await?.decided_once()?.is_applied() {
                        stored.record = *record;
                        return Ok(
                            handle(stored, &policy, now).map(|session| Issued { token, session })
                        );
                    }
                }
                Ok(_) => return Ok(Answer::Absent),
                Err(ended) => {
                    if let Ok(end) = self.write_end(*ended, stored.version).await? {
                        return Ok(Answer::Ended(end));
                    }
                }
            }
            look_again(patience)?;
        }
    }
}

/// Nothing to tell.
fn none() -> Vec<Note> {
    Vec::new()
}

/// The notes without those that a later one of the same kind replaces.
fn last_of_each_kind(notes: Vec<Note>) -> Vec<Note> {
    let mut kept: Vec<Note> = Vec::with_capacity(notes.len());
    for note in notes {
        kept.retain(|other| other.kind() != note.kind());
        kept.push(note);
    }
    kept
}

/// The handle after an edit. A new token that is due to its holder is still due.
fn still<T>(
    before: &Session,
    stored: Stored,
    policy: &Policy,
    now: Timestamp,
    value: T,
) -> Answer<(Session, T)> {
    let answer = handle(stored, policy, now);
    let session = answer.map(|session| match before.successor() {
        Some(token) => session.with_successor(token.clone()),
        None => session,
    });
    session.map(|session| (session, value))
}

/// When a write may be decided anew.
enum Again {
    /// When another change won.
    OnConflict,
    /// Even when that other change may have been its own.
    AfterUnknown,
}

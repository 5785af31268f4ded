//! Two clients of the engine, in every order of their calls to the store.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use async_trait::async_trait;

use crate::store::{
    BelowEpoch, Cursor, EventQuery, Events, ListQuery, Outcome, Purged, Scan, Stored, Touch,
    Touched,
};
use crate::{Change, Marks, Realm, SessionId, SessionStore, StoreError, Subject, Timestamp};

/// A store whose every call waits until it is let through.
#[derive(Debug)]
pub(super) struct Gate {
    store: Arc<dyn SessionStore>,
    permits: AtomicUsize,
    waits: AtomicBool,
}

impl Gate {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Arc<Self> {
        Arc::new(Self { store, permits: AtomicUsize::new(0), waits: AtomicBool::new(false) })
    }

    /// No waker is kept: whoever opens the gate polls the client again.
    async fn pass(&self) {
        std::future::poll_fn(|_| {
            let through = self.permits.load(Ordering::SeqCst) > 0;
            self.waits.store(!through, Ordering::SeqCst);
            if through {
                self.permits.fetch_sub(1, Ordering::SeqCst);
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// Which of two clients goes next, whenever both could: every order, one after the other.
#[derive(Default)]
pub(super) struct Schedule {
    choices: Vec<bool>,
    place: usize,
    began: bool,
}

impl Schedule {
    /// Turns to the next order; `false` when all have been tried.
    pub(super) fn turn(&mut self) -> bool {
        if !self.began {
            self.began = true;
            return true;
        }
        self.choices.truncate(self.place);
        self.place = 0;
        // The last choice that has an alternative left takes it.
        while self.choices.pop_if(|second| *second).is_some() {}
        match self.choices.last_mut() {
            Some(second) => *second = true,
            None => return false,
        }
        true
    }

    /// Runs both clients to their ends, one call at a time.
    pub(super) async fn run<A, B>(
        &mut self,
        gates: [Arc<Gate>; 2],
        first: impl Future<Output = A>,
        second: impl Future<Output = B>,
    ) -> (A, B) {
        let (mut first, mut second) = (pin!(first), pin!(second));
        let [gate, other] = &gates;
        let mut ended = advance(gate, first.as_mut()).await;
        let mut other_ended = advance(other, second.as_mut()).await;
        loop {
            let takes_second = match (&ended, &other_ended) {
                (Some(_), Some(_)) => break,
                (None, Some(_)) => false,
                (Some(_), None) => true,
                (None, None) => self.choose(),
            };
            if takes_second {
                other.permits.fetch_add(1, Ordering::SeqCst);
                other_ended = advance(other, second.as_mut()).await;
            } else {
                gate.permits.fetch_add(1, Ordering::SeqCst);
                ended = advance(gate, first.as_mut()).await;
            }
        }
        (ended.expect("it has ended"), other_ended.expect("it has ended"))
    }

    fn choose(&mut self) -> bool {
        if self.place == self.choices.len() {
            self.choices.push(false);
        }
        self.place += 1;
        self.choices[self.place - 1]
    }
}

/// Runs a client until it waits at its gate again. `None` if it does, else its answer.
async fn advance<T>(gate: &Gate, mut client: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|context| match client.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if gate.waits.load(Ordering::SeqCst) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for Gate {
    async fn load(&self, realm: &Realm, id: SessionId) -> Result<Option<Stored>, StoreError> {
        self.pass().await;
        self.store.load(realm, id).await
    }

    async fn marks(&self, realm: &Realm, subject: Option<&Subject>) -> Result<Marks, StoreError> {
        self.pass().await;
        self.store.marks(realm, subject).await
    }

    async fn commit(&self, realm: &Realm, change: &Change) -> Result<Outcome, StoreError> {
        self.pass().await;
        self.store.commit(realm, change).await
    }

    async fn commit_each(
        &self,
        realm: &Realm,
        changes: &[Change],
    ) -> Result<Vec<Outcome>, StoreError> {
        self.pass().await;
        self.store.commit_each(realm, changes).await
    }

    async fn touch(&self, realm: &Realm, touches: &[Touch]) -> Result<Vec<Touched>, StoreError> {
        self.pass().await;
        self.store.touch(realm, touches).await
    }

    async fn list(
        &self,
        realm: &Realm,
        query: &ListQuery,
        after: Option<&Cursor>,
    ) -> Result<Scan, StoreError> {
        self.pass().await;
        self.store.list(realm, query, after).await
    }

    async fn due(
        &self,
        realm: &Realm,
        now: Timestamp,
        after: Option<&Cursor>,
        limit: std::num::NonZeroUsize,
    ) -> Result<Scan, StoreError> {
        self.pass().await;
        self.store.due(realm, now, after, limit).await
    }

    async fn below_epoch(
        &self,
        realm: &Realm,
        after: Option<&Cursor>,
        limit: std::num::NonZeroUsize,
    ) -> Result<BelowEpoch, StoreError> {
        self.pass().await;
        self.store.below_epoch(realm, after, limit).await
    }

    async fn events(
        &self,
        realm: &Realm,
        query: &EventQuery,
        after: Option<&Cursor>,
    ) -> Result<Events, StoreError> {
        self.pass().await;
        self.store.events(realm, query, after).await
    }

    async fn purge(
        &self,
        realm: &Realm,
        now: Timestamp,
        limit: std::num::NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.pass().await;
        self.store.purge(realm, now, limit).await
    }

    async fn erase(
        &self,
        realm: &Realm,
        subject: &Subject,
        limit: std::num::NonZeroUsize,
    ) -> Result<Purged, StoreError> {
        self.pass().await;
        self.store.erase(realm, subject, limit).await
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }
}

//! A view store that fails when a test wants it to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dormouse_faults::Dice;
use dormouse_kernel::{AggregateRef, Mark, Position};
use dormouse_projections::store::{
    Advance, Begin, Build, BuildNumber, Builds, CommitError, DocumentAt, Error, Loaded, Offset, Parked,
};
use dormouse_projections::{Definition, Key, Page, Query, ViewStore};
use tokio::sync::Notify;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It fails, and nothing is done.
    Refused,
    /// It is done, and its response is lost.
    Lost,
    /// Nothing is done, and it never returns.
    HangsBefore,
    /// It is done, and never returns.
    HangsAfter,
}

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Prepare,
    Begin,
    Serve,
    Load,
    Commit,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ViewStore>,
    script: Mutex<VecDeque<(Call, Fault)>>,
    dice: Mutex<Option<Dice>>,
    hangs: Notify,
    /// How many times the served build moves just before another build is to take over, if a worker can move it.
    overtakes_left: AtomicUsize,
    /// Responses arrive some time after their effect.
    is_slow: AtomicBool,
}

impl Faulty {
    pub(crate) fn over(inner: Arc<dyn ViewStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            script: Mutex::default(),
            dice: Mutex::default(),
            hangs: Notify::new(),
            overtakes_left: AtomicUsize::new(0),
            is_slow: AtomicBool::new(false),
        })
    }

    /// The next call of this kind has this fault.
    pub(crate) fn inject(&self, call: Call, fault: Fault) {
        self.script.lock().unwrap().push_back((call, fault));
    }

    /// How many injected faults are left.
    pub(crate) fn left(&self) -> usize {
        self.script.lock().unwrap().len()
    }

    /// Forgets the injected faults that are left.
    pub(crate) fn calm(&self) {
        self.script.lock().unwrap().clear();
    }

    /// About every third call fails or loses its response.
    pub(crate) fn fail_at_random(&self, dice: Option<Dice>) {
        *self.dice.lock().unwrap() = dice;
    }

    /// This many times, the served build moves just before another build is to take over, if a worker can move it.
    pub(crate) fn overtake(&self, times: usize) {
        self.overtakes_left.store(times, Ordering::SeqCst);
    }

    /// From now on, responses arrive some time after their effect, so that others see the effect first.
    pub(crate) fn respond_late(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    /// How many of these times are left.
    pub(crate) fn overtakes_left(&self) -> usize {
        self.overtakes_left.load(Ordering::SeqCst)
    }

    async fn let_served_move(&self, view: &Definition) -> Result<(), Error> {
        let count_down = |times: usize| times.checked_sub(1);
        if self.overtakes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down).is_err() {
            return Ok(());
        }
        let position =
            async || Ok::<_, Error>(self.inner.prepare(view).await?.serving.map(|build| build.offset.position));
        let (before, deadline) = (position().await?, Instant::now() + Duration::from_millis(100));
        // If something holds the build where it is, waiting for it would never end.
        while position().await? == before && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Waits until a call hangs.
    pub(crate) async fn hangs(&self) {
        self.hangs.notified().await;
    }

    fn fault(&self, call: Call) -> Fault {
        let mut script = self.script.lock().unwrap();
        if script.front().is_some_and(|(next, _)| *next == call) {
            return script.pop_front().unwrap().1;
        }
        match &mut *self.dice.lock().unwrap() {
            Some(dice) => dice.pick(&[Fault::None, Fault::None, Fault::None, Fault::None, Fault::Refused, Fault::Lost]),
            None => Fault::None,
        }
    }

    async fn with_fault<T>(
        &self,
        call: Call,
        inner: impl Future<Output = Result<T, CommitError>>,
    ) -> Result<T, CommitError> {
        let unavailable = |what: &str| CommitError::Failed(Error::Unavailable(what.to_owned()));
        match self.fault(call) {
            Fault::None => {
                let result = inner.await;
                if self.is_slow.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                result
            }
            Fault::Refused => Err(unavailable("a test injected this")),
            Fault::Lost => {
                inner.await?;
                Err(unavailable("the response was lost"))
            }
            Fault::HangsBefore => {
                self.hangs.notify_one();
                std::future::pending().await
            }
            Fault::HangsAfter => {
                inner.await?;
                self.hangs.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn plain(error: CommitError) -> Error {
    match error {
        CommitError::Failed(error) => error,
        CommitError::Moved { .. } => unreachable!("only a commit finds that"),
    }
}

#[async_trait]
impl ViewStore for Faulty {
    async fn prepare(&self, view: &Definition) -> Result<Builds, Error> {
        let prepared = async { Ok(self.inner.prepare(view).await?) };
        self.with_fault(Call::Prepare, prepared).await.map_err(plain)
    }

    async fn begin(&self, view: &Definition, after: Offset, defect: Begin) -> Result<Build, Error> {
        let begun = async { Ok(self.inner.begin(view, after, defect).await?) };
        self.with_fault(Call::Begin, begun).await.map_err(plain)
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        let served = async {
            self.let_served_move(view).await?;
            Ok(self.inner.serve(view, build).await?)
        };
        self.with_fault(Call::Serve, served).await.map_err(plain)
    }

    async fn abandon(&self, view: &Definition) -> Result<(), Error> {
        self.inner.abandon(view).await
    }

    async fn drop_view(&self, name: &str) -> Result<(), Error> {
        self.inner.drop_view(name).await
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        self.inner.names().await
    }

    async fn of_journal(&self, first: Option<Mark>) -> Result<Option<Mark>, Error> {
        self.inner.of_journal(first).await
    }

    async fn set_paused(&self, view: &Definition, is_paused: bool) -> Result<(), Error> {
        self.inner.set_paused(view, is_paused).await
    }

    async fn load(&self, view: &Definition, build: BuildNumber, keys: &[Key], bytes: usize) -> Result<Loaded, Error> {
        let loaded = async { Ok(self.inner.load(view, build, keys, bytes).await?) };
        self.with_fault(Call::Load, loaded).await.map_err(plain)
    }

    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        self.with_fault(Call::Commit, self.inner.commit(view, build, advance)).await
    }

    async fn get(&self, view: &Definition, key: &Key) -> Result<DocumentAt, Error> {
        self.inner.get(view, key).await
    }

    async fn list(&self, view: &Definition, query: &Query) -> Result<Page, Error> {
        self.inner.list(view, query).await
    }

    async fn parked(
        &self,
        build: BuildNumber,
        of: Option<&AggregateRef>,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Parked>, Error> {
        self.inner.parked(build, of, after, limit).await
    }

    async fn parked_among(&self, build: BuildNumber, aggregates: &[AggregateRef]) -> Result<Vec<AggregateRef>, Error> {
        self.inner.parked_among(build, aggregates).await
    }

    async fn parked_count(&self, build: BuildNumber) -> Result<usize, Error> {
        self.inner.parked_count(build).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

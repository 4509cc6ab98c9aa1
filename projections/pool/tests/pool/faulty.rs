//! A view store that gets into trouble when a test wants it to.

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

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It fails before anything happens.
    Refused,
    /// It happens, and its answer is lost.
    Lost,
    /// Nothing happens, and no answer ever comes.
    HangsBefore,
    /// It happens, and no answer ever comes.
    HangsAfter,
}

/// The calls that can be struck.
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
    /// So many times, what is served moves on just before another build is to take its place, if anything can move it.
    overtakings: AtomicUsize,
    /// Answers come a while after what they tell has happened.
    is_slow: AtomicBool,
}

impl Faulty {
    pub(crate) fn over(inner: Arc<dyn ViewStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            script: Mutex::default(),
            dice: Mutex::default(),
            hangs: Notify::new(),
            overtakings: AtomicUsize::new(0),
            is_slow: AtomicBool::new(false),
        })
    }

    /// The next calls of this kind end so.
    pub(crate) fn strike(&self, call: Call, fault: Fault) {
        self.script.lock().unwrap().push_back((call, fault));
    }

    /// Every third call or so fails in some way that lets go of its caller.
    pub(crate) fn gamble(&self, dice: Option<Dice>) {
        *self.dice.lock().unwrap() = dice;
    }

    /// So many times, what is served moves on just before another build is to take its place, if anything can move it.
    pub(crate) fn overtake(&self, times: usize) {
        self.overtakings.store(times, Ordering::SeqCst);
    }

    /// From now on, answers come a while after what they tell has happened, so that others see it before.
    pub(crate) fn answers_late(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    /// How many of these are left.
    pub(crate) fn overtakings(&self) -> usize {
        self.overtakings.load(Ordering::SeqCst)
    }

    async fn is_overtaken(&self, view: &Definition) -> Result<(), Error> {
        let count_down = |times: usize| times.checked_sub(1);
        if self.overtakings.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down).is_err() {
            return Ok(());
        }
        let position =
            async || Ok::<_, Error>(self.inner.prepare(view).await?.serving.map(|build| build.offset.position));
        let (before, given_up) = (position().await?, Instant::now() + Duration::from_millis(100));
        // Something that holds it where it is cannot be waited for.
        while position().await? == before && Instant::now() < given_up {
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

    async fn strikes<T>(
        &self,
        call: Call,
        inner: impl Future<Output = Result<T, CommitError>>,
    ) -> Result<T, CommitError> {
        let unavailable = |what: &str| CommitError::Failed(Error::Unavailable(what.to_owned()));
        match self.fault(call) {
            Fault::None => {
                let answer = inner.await;
                if self.is_slow.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                answer
            }
            Fault::Refused => Err(unavailable("a test wants it")),
            Fault::Lost => {
                inner.await?;
                Err(unavailable("the answer got lost"))
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
        self.strikes(Call::Prepare, prepared).await.map_err(plain)
    }

    async fn begin(&self, view: &Definition, after: Offset, how: Begin) -> Result<Build, Error> {
        let begun = async { Ok(self.inner.begin(view, after, how).await?) };
        self.strikes(Call::Begin, begun).await.map_err(plain)
    }

    async fn serve(&self, view: &Definition, build: BuildNumber) -> Result<bool, Error> {
        let served = async {
            self.is_overtaken(view).await?;
            Ok(self.inner.serve(view, build).await?)
        };
        self.strikes(Call::Serve, served).await.map_err(plain)
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
        self.strikes(Call::Load, loaded).await.map_err(plain)
    }

    async fn commit(&self, view: &Definition, build: BuildNumber, advance: Advance) -> Result<(), CommitError> {
        self.strikes(Call::Commit, self.inner.commit(view, build, advance)).await
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

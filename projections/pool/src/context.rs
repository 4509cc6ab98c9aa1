//! What it takes to keep a view up, whatever its documents: where it is kept, what its events come from, how far it is.

use std::sync::Arc;

use dormouse_journal::{Health, Journal, PageLimit, ReadError};
use dormouse_kernel::{Clock, Mark, Position, SystemClock};
use tokio::sync::{Mutex, Notify, watch};
use tracing::{info, warn};

use crate::cache::{Cache, ViewCache};
use crate::capacity::Capacity;
use crate::definition::Definition;
use crate::error::ProjectionError;
use crate::options::Options;
use crate::progress::{Progress, Rebuild, State};
use crate::reader::Reader;
use crate::store::{Begin, Build, BuildNumber, Builds, Offset, ViewStore};

/// What all who have to do with a view share: its workers, its readers, and operators.
#[derive(Debug)]
pub(crate) struct ProjectionContext {
    pub(crate) definition: Definition,
    pub(crate) store: Arc<dyn ViewStore>,
    pub(crate) journal: Journal,
    pub(crate) options: Options,
    /// What all projections of the node may do at the same time.
    pub(crate) capacity: Arc<Capacity>,
    /// What readers were answered. It hears of every change before it is made, and before anybody is told.
    pub(crate) view_cache: Arc<ViewCache>,
    pub(crate) progress: watch::Sender<Progress>,
    /// What is served is moved on by whoever has this. So a build that is made beside it and is almost as far can hold it
    /// where it is for a moment; otherwise it might stay one batch behind for ever.
    pub(crate) served_lock: Arc<Mutex<()>>,
    /// A reader waits for what the view does not have yet: its worker does not put off the next batch.
    pub(crate) is_waited_for: Notify,
    /// One operator at a time.
    pub(crate) operator_lock: Arc<Mutex<()>>,
}

/// What a worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// To find out, or decide, which builds there are to work on.
    Plan,
    /// To move this build on.
    Build(BuildNumber),
}

impl ProjectionContext {
    pub(crate) fn new(
        definition: Definition,
        store: Arc<dyn ViewStore>,
        journal: Journal,
        options: Options,
        cache: &Cache,
        capacity: Arc<Capacity>,
    ) -> Self {
        let progress = Progress {
            name: definition.name(),
            build: None,
            version: None,
            position: Position::ZERO,
            mark: None,
            begun_after: Position::ZERO,
            parked: 0,
            state: State::Starting,
            rebuild: None,
        };
        Self {
            view_cache: cache.view_cache(definition.name()),
            definition,
            store,
            journal,
            options,
            capacity,
            progress: watch::Sender::new(progress),
            served_lock: Arc::default(),
            is_waited_for: Notify::new(),
            operator_lock: Arc::default(),
        }
    }

    /// Whether nothing more will come, because the application stops.
    pub(crate) fn journal_is_closed(&self) -> bool {
        matches!(*self.journal.health().borrow(), Health::Closed)
    }

    /// Finds out what there is of the view, begins what is missing, and says which builds are to be worked on.
    ///
    /// What was made by other code cannot be moved on: it is served as it is, until what is made beside it is as far. An
    /// unfinished build is taken up again if it is one that this code would make.
    pub(crate) async fn plan(&self) -> Result<Vec<BuildNumber>, ProjectionError> {
        let view = &self.definition;
        self.check_journal(self.store.of_journal(None).await?, self.first_event().await?)?;
        let Builds { serving, mut next, is_paused } = self.store.prepare(view).await?;
        if is_paused {
            info!(view = view.name(), "a view is paused");
            self.set_builds(serving, next, true).await?;
            return Ok(Vec::new());
        }
        let serving = match serving {
            Some(build) if self.is_in_journal(build.offset).await? => build,
            found => {
                if let Some(Build { offset, .. }) = found {
                    let position = offset.position;
                    warn!(view = view.name(), %position, "a view is not of this journal and is built anew");
                }
                next = None;
                self.view_cache.closes();
                self.store.begin(view, Offset::START, Begin::Instead).await?
            }
        };
        self.claim_store().await?;
        if let Some(build) = next
            && !(build.version == view.version() && self.is_in_journal(build.offset).await?)
        {
            info!(view = view.name(), version = build.version, "an unfinished build is of no use any more");
            self.store.abandon(view).await?;
            next = None;
        }
        let is_current = serving.version == view.version();
        if !is_current && next.is_none() {
            let (version, wanted) = (serving.version, view.version());
            warn!(
                view = view.name(),
                version, wanted, "a view has another version and is built anew beside the old one"
            );
            next = Some(self.store.begin(view, Offset::START, Begin::Beside).await?);
        }
        self.set_builds(Some(serving), next, false).await?;
        Ok(Some(serving).filter(|_| is_current).into_iter().chain(next).map(|build| build.number).collect())
    }

    /// Notes in the store which journal its views are of, once the journal has an event. A wrong `views.url` may lead a
    /// process with another journal to this store later: the projections of that process stop, and leave the views as they are.
    pub(crate) async fn claim_store(&self) -> Result<(), ProjectionError> {
        let first = self.first_event().await?;
        self.check_journal(self.store.of_journal(first).await?, first)
    }

    async fn first_event(&self) -> Result<Option<Mark>, ReadError> {
        self.journal.mark_at(Position::ZERO.next()).await
    }

    fn check_journal(&self, theirs: Option<Mark>, ours: Option<Mark>) -> Result<(), ProjectionError> {
        let Some(theirs) = theirs.filter(|theirs| Some(*theirs) != ours) else { return Ok(()) };
        let ours = ours.map_or_else(|| "none".to_owned(), |ours| ours.to_string());
        Err(ProjectionError::Permanent(format!(
            "these views are of another journal (the mark of its first event is {theirs}, here it is {ours}): name another place \
             in `views.url`, or delete what is kept there if nobody needs it"
        )))
    }

    /// Whether the last event that is in a build is the one at that position of the log.
    async fn is_in_journal(&self, offset: Offset) -> Result<bool, ReadError> {
        Ok(self.offset_at(offset.position).await? == Some(offset))
    }

    /// Right behind the event at a position, if there is one.
    pub(crate) async fn offset_at(&self, position: Position) -> Result<Option<Offset>, ReadError> {
        let Some(before) = position.0.checked_sub(1) else { return Ok(Some(Offset::START)) };
        Ok(self.journal.read_log(Position(before), PageLimit::ONE).await?.first().map(Offset::at))
    }

    async fn set_builds(
        &self,
        serving: Option<Build>,
        next: Option<Build>,
        is_paused: bool,
    ) -> Result<(), ProjectionError> {
        let parked = match serving {
            Some(Build { number, .. }) => self.store.parked_count(number).await?,
            None => 0,
        };
        let wanted = self.definition.version();
        let state = if is_paused { State::Paused } else { State::Starting };
        self.progress.send_modify(|progress| {
            let build = serving.map(|build| build.number);
            // What is served may have a worker, which knows better.
            if is_paused || progress.build != build {
                // Its worker, if there is to be one, says so when it is there.
                self.view_cache.closes();
                let offset = serving.map_or(Offset::START, |build| build.offset);
                (progress.position, progress.mark) = (offset.position, offset.mark());
                progress.begun_after = serving.map_or(Position::ZERO, |build| build.begun_after);
                (progress.build, progress.parked) = (build, parked);
            }
            progress.version = serving.map(|build| build.version);
            progress.rebuild = next.map(|build| rebuild(build, state.clone()));
            if is_paused {
                progress.state = State::Paused;
            } else if progress.version != Some(wanted) {
                progress.state = State::Outdated;
            }
        });
        Ok(())
    }

    /// A worker has found out where its build is.
    pub(crate) fn set_running(&self, build: Build, is_served: bool, parked: usize) {
        let Build { number, version, begun_after, offset } = build;
        self.progress.send_modify(|progress| {
            let next = progress.rebuild.take_if(|rebuild| rebuild.build == number);
            match next {
                Some(next) if !is_served => {
                    progress.rebuild = Some(Rebuild { position: offset.position, state: State::Running, ..next });
                }
                // Otherwise another build has taken its place since, or nobody knows of it.
                next if next.is_some() || progress.build == Some(number) => {
                    self.view_cache.serves(number, offset);
                    (progress.build, progress.version) = (Some(number), Some(version));
                    (progress.position, progress.mark) = (offset.position, offset.mark());
                    (progress.begun_after, progress.parked, progress.state) = (begun_after, parked, State::Running);
                }
                _ => {}
            }
        });
    }

    /// A build is further. What was served until a moment ago may still say so of itself: that is of no interest.
    pub(crate) fn set_offset(&self, number: BuildNumber, to: Offset, parked: usize, events_per_second: f64) {
        self.progress.send_modify(|progress| {
            if progress.build == Some(number) {
                (progress.position, progress.mark, progress.parked) = (to.position, to.mark(), parked);
            } else if let Some(rebuild) = progress.rebuild.as_mut().filter(|rebuild| rebuild.build == number) {
                (rebuild.position, rebuild.events_per_second) = (to.position, events_per_second);
            }
        });
    }

    /// Of a build, so many aggregates are parked.
    pub(crate) fn set_parked(&self, number: BuildNumber, parked: usize) {
        self.progress.send_modify(|progress| {
            if progress.build == Some(number) {
                progress.parked = parked;
            }
        });
    }

    /// How an attempt at a job ended.
    pub(crate) fn set_state(&self, job: Job, state: State) {
        self.progress.send_modify(|progress| match (job, &mut progress.rebuild) {
            (Job::Build(number), Some(rebuild)) if rebuild.build == number => {
                // Then there is nobody who could make what is served any newer.
                if progress.state == State::Outdated && state.is_final() {
                    progress.state = state.clone();
                }
                rebuild.state = state;
            }
            (Job::Build(number), _) if progress.build == Some(number) => {
                if state.is_final() {
                    self.view_cache.closes();
                }
                progress.state = state;
            }
            // It says nothing about those who are at work.
            (Job::Plan, _) if matches!(progress.state, State::Starting | State::Retrying(_)) => progress.state = state,
            (Job::Plan, _) if progress.state == State::Outdated && state.is_final() => progress.state = state,
            _ => {}
        });
    }

    /// An operator has taken it into his hands: where it is then is found out by the next plan.
    pub(crate) fn clear_builds(&self, position: Position, state: State) {
        self.view_cache.closes();
        self.progress.send_modify(|progress| {
            (progress.build, progress.version, progress.rebuild) = (None, None, None);
            (progress.position, progress.mark, progress.parked, progress.state) = (position, None, 0, state);
        });
    }

    /// An operator wants it to go on, or not to; nobody works on it at this moment.
    pub(crate) fn set_states(&self, state: State) {
        self.view_cache.closes();
        self.progress.send_modify(|progress| {
            if let Some(rebuild) = &mut progress.rebuild {
                rebuild.state = state.clone();
            }
            progress.state = state;
        });
    }

    /// Nobody works on it any more.
    pub(crate) fn set_ended(&self, state: State) {
        self.view_cache.closes();
        self.progress.send_if_modified(|progress| {
            let is_news = !matches!(progress.state, State::Stopped(_) | State::Ended);
            if is_news {
                progress.state = state;
            }
            is_news
        });
    }

    /// Reads what is served.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader::new(Arc::clone(self))
    }
}

fn rebuild(build: Build, state: State) -> Rebuild {
    let Build { number, version, offset: Offset { position, .. }, .. } = build;
    let started_at = SystemClock.now();
    Rebuild { build: number, version, from: position, started_at, position, events_per_second: 0.0, state }
}

//! One projection on a node: what its worker works with, and what its views read. How a batch is projected.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dormouse_journal::{Feed, Journal, ReadError, let_others_go_first};
use dormouse_kernel::{AggregateRef, Position, RecordedEvent};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::definition::{Definition, DefinitionError};
use crate::documents::{Documents, Unfit};
use crate::key::Key;
use crate::limits::{EVENTS_AT_A_TIME, PARKED_AGGREGATES};
use crate::options::Options;
use crate::progress::{Progress, State};
use crate::projection::Projection;
use crate::reader::Reader;
use crate::round::Round;
use crate::sources::{AnySource, Sources};
use crate::store::{Advance, Begin, Build, BuildNumber, Builds, CommitError, Error, Offset, Parked, Row, ViewStore};

/// What all who have to do with a projection share.
pub(crate) struct Projector<P: Projection> {
    pub(crate) definition: Arc<Definition>,
    pub(crate) store: Arc<dyn ViewStore>,
    pub(crate) options: Options,
    pub(crate) progress: watch::Sender<Progress>,
    sources: HashMap<&'static str, AnySource<P>>,
    journal: Journal,
}

/// A projection under way: it believes that the view is at its offset, and that nobody else moves it.
pub(crate) struct Run<P: Projection> {
    pub(crate) feed: Feed,
    pub(crate) view: Standing<P>,
}

/// Where a view is, and what is known of it.
pub(crate) struct Standing<P: Projection> {
    build: BuildNumber,
    offset: Offset,
    documents: Documents<P::Document>,
    /// The aggregates whose events are parked.
    waiting: HashSet<AggregateRef>,
}

/// Why a projection cannot go on. Whatever it had in hand is not to be believed any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// It passes: somebody does not answer.
    #[error("{0}")]
    Passing(String),
    /// It may come again and again.
    #[error("{0}")]
    Lasting(String),
}

impl<P: Projection> Projector<P> {
    pub(crate) fn new(journal: Journal, store: Arc<dyn ViewStore>, options: Options) -> Result<Self, DefinitionError> {
        let definition = Arc::new(Definition::of::<P>()?);
        let progress = Progress {
            name: definition.name(),
            build: None,
            position: Position::ZERO,
            parked: 0,
            state: State::Starting,
        };
        Ok(Self {
            definition,
            store,
            options,
            progress: watch::Sender::new(progress),
            sources: Sources::named()?,
            journal,
        })
    }

    /// Reads what it makes.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.definition), Arc::clone(&self.store), self.progress.subscribe())
    }

    pub(crate) fn set_state(&self, state: State) {
        self.progress.send_modify(|progress| progress.state = state);
    }

    /// Finds out where the view is, and goes on from there.
    pub(crate) async fn resume(&self) -> Result<Run<P>, Trouble> {
        let view = &self.definition;
        let Builds { serving, .. } = self.store.prepare(view).await?;
        let Build { number, offset, .. } = match serving {
            Some(build) if build.version != view.version() => {
                warn!(view = view.name(), version = build.version, wanted = view.version(), "a view is built anew");
                self.store.begin(view, Offset::START, Begin::Instead).await?
            }
            Some(build) if !self.is_of_journal(build.offset).await? => {
                let position = build.offset.position;
                warn!(view = view.name(), %position, "a view is not of this journal and is built anew");
                self.store.begin(view, Offset::START, Begin::Instead).await?
            }
            Some(build) => build,
            None => self.store.begin(view, Offset::START, Begin::Instead).await?,
        };
        let waiting = self.store.parked_aggregates(number, PARKED_AGGREGATES + 1).await?;
        let waiting: HashSet<AggregateRef> = waiting.into_iter().collect();
        info!(view = view.name(), position = %offset.position, parked = waiting.len(), "projecting");
        self.progress.send_modify(|progress| {
            progress.build = Some(number);
            progress.position = offset.position;
            progress.parked = waiting.len();
            progress.state = State::Running;
        });
        let documents = Documents::new(self.options.cache_bytes);
        Ok(Run {
            feed: self.journal.feed(offset.position),
            view: Standing { build: number, offset, documents, waiting },
        })
    }

    /// Whether the last event that is in the view is the one at that position of the log.
    async fn is_of_journal(&self, offset: Offset) -> Result<bool, ReadError> {
        let Some(before) = offset.position.0.checked_sub(1) else { return Ok(true) };
        let found = self.journal.read_log(Position(before), 1).await?;
        Ok(found.first().is_some_and(|event| event.event.chain == offset.chain))
    }

    /// Projects the events that follow, and moves the view on. After an error, [resume](Self::resume): whether it has
    /// moved is not known.
    pub(crate) async fn advance(&self, view: &mut Standing<P>, events: Vec<RecordedEvent>) -> Result<(), Trouble> {
        let Some(to) = events.last().map(Offset::at) else { return Ok(()) };
        let mut round = Round::of(events.len());
        for (number, event) in events.into_iter().enumerate() {
            round.read(event, &self.sources, &view.waiting);
            give_way(number).await;
        }
        self.load(view.build, &round, &mut view.documents).await?;
        let (rows, gone) = match project(&round, &mut view.documents).await {
            Some(changes) => changes,
            None => {
                // What it was at is lost. Once more from what is stored, and now so that each step can be undone.
                view.documents.forget();
                self.load(view.build, &round, &mut view.documents).await?;
                for number in 0..round.len() {
                    round.project_carefully(number, &mut view.documents)?;
                    give_way(number).await;
                }
                view.documents.changes()?
            }
        };
        let parked = round.into_parked();
        self.note_parked(&parked, &mut view.waiting)?;
        let advance = Advance { from: view.offset.position, to, rows, gone, parked, released: Vec::new() };
        self.store.commit(&self.definition, view.build, advance).await?;
        view.offset = to;
        view.documents.stored();
        self.progress.send_modify(|progress| {
            progress.position = to.position;
            progress.parked = view.waiting.len();
        });
        Ok(())
    }

    async fn load(
        &self,
        build: BuildNumber,
        round: &Round<P>,
        documents: &mut Documents<P::Document>,
    ) -> Result<(), Trouble> {
        let missing = documents.missing(round.keys());
        if !missing.is_empty() {
            let found = self.store.load(&self.definition, build, &missing).await?;
            documents.insert(missing, found)?;
        }
        Ok(())
    }

    fn note_parked(&self, parked: &[Parked], waiting: &mut HashSet<AggregateRef>) -> Result<(), Trouble> {
        for event in parked {
            if let Some(reason) = &event.reason {
                let Parked { aggregate, version, position, .. } = event;
                error!(view = self.definition.name(), %aggregate, %version, %position, reason, "parked an aggregate");
            }
            waiting.insert(event.aggregate.clone());
        }
        if waiting.len() > PARKED_AGGREGATES {
            return Err(Trouble::Lasting(format!("more than {PARKED_AGGREGATES} aggregates cannot be projected")));
        }
        Ok(())
    }
}

/// Projects a round as if nothing could go wrong. `None`: it did, and the documents are not what they should be.
async fn project<P: Projection>(
    round: &Round<P>,
    documents: &mut Documents<P::Document>,
) -> Option<(Vec<Row>, Vec<Key>)> {
    let mut start = 0;
    while start < round.len() {
        let end = round.len().min(start + EVENTS_AT_A_TIME);
        round.project(start..end, documents).ok()?;
        let_others_go_first().await;
        start = end;
    }
    documents.changes().ok()
}

/// A worker must not keep its thread for a whole batch.
async fn give_way(events_done: usize) {
    if events_done % EVENTS_AT_A_TIME == EVENTS_AT_A_TIME - 1 {
        let_others_go_first().await;
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) | Error::Full(_) => Self::Passing(error.to_string()),
            Error::Damaged(_) => Self::Lasting(error.to_string()),
        }
    }
}

impl From<CommitError> for Trouble {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Failed(error) => error.into(),
            CommitError::Moved { .. } => Self::Lasting(error.to_string()),
        }
    }
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::Passing(error.to_string()),
            ReadError::Damaged { .. } => Self::Lasting(error.to_string()),
        }
    }
}

impl From<Unfit> for Trouble {
    fn from(unfit: Unfit) -> Self {
        Self::Lasting(unfit.to_string())
    }
}

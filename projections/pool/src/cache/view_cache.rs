//! What the cache has of one view: who writes the view says so here, and who reads it comes here first.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dormouse_kernel::Position;
use tokio::sync::watch;

use super::Shared;
use super::counts::Counts;
use super::store::{Answer, Asked, Question};
use crate::key::Key;
use crate::query::{Page, Query};
use crate::store::{Advance, BuildNumber, CommitError, Error, Found, Offset};

/// See [`Cache`](super::Cache) for why its answers are true.
#[derive(Debug)]
pub(crate) struct ViewCache {
    cache: Arc<Shared>,
    counts: Arc<Counts>,
    /// What is kept is of this turn, or out of reach.
    turn: AtomicU64,
    /// How far the view is, as far as anybody has been told: of the turn that is read before and after it. Both are
    /// changed at the write_state, the turn first.
    seen: AtomicU64,
    write_state: Mutex<WriteState>,
}

/// What is under way. The guard is held for moments, and never where a hit comes by.
#[derive(Debug)]
struct WriteState {
    /// Whether the worker that moves the view runs here, and the view is what it knows.
    is_open: bool,
    /// What is served. `None` before it is known.
    build: Option<BuildNumber>,
    /// What may be served at any moment, or is already.
    successor: Option<BuildNumber>,
    /// The worker has said that it moves the view so far.
    announced: Position,
    /// Written by commits whose end is not known. What a load says of them may be out of date when it is there.
    open_keys: HashSet<Key>,
    /// Where such commits began, the furthest of them. `None`: there are none.
    open_from: Option<Position>,
    /// The same, without the one that is under way.
    lost_from: Option<Position>,
    flights: HashMap<Question, Flight>,
    flights_begun: u64,
    /// The lists that are kept, and some that have gone.
    listed: HashSet<Arc<str>>,
}

/// A load that others may wait for.
#[derive(Debug)]
struct Flight {
    number: u64,
    since: Position,
    landed: watch::Receiver<Option<Landed>>,
}

type Landed = Result<Answer, Error>;

/// How a view_cache was [closed](ViewCache::gives_way_to).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    was_open: bool,
    turn: u64,
}

/// How a question comes to its answer.
enum Way<'a> {
    /// Somebody was faster.
    Kept(Answer),
    /// From the store, for oneself alone, in this turn.
    Alone { turn: u64 },
    /// From the store, for all who ask.
    Leading(Leading<'a>),
    /// With somebody else.
    Joining { landed: watch::Receiver<Option<Landed>>, since: Position, seen: Position },
}

/// Somebody who loads for all who ask.
struct Leading<'a> {
    view_cache: &'a ViewCache,
    question: Question,
    number: u64,
    turn: u64,
    since: Position,
    landing: watch::Sender<Option<Landed>>,
}

/// For those who read.
impl ViewCache {
    /// The document under a key, if it is here. Waits for nobody.
    pub(crate) fn document(&self, key: &Key) -> Option<Found> {
        self.find(Asked::Document(key)).and_then(Answer::into_document)
    }

    /// The document under a key, loaded like this.
    pub(crate) async fn load_document(
        &self,
        key: &Key,
        load: impl Future<Output = Result<Found, Error>>,
    ) -> Result<Found, Error> {
        let load = async { Ok(Answer::Document(load.await?)) };
        let answer = self.load(Asked::Document(key), load).await?;
        answer.into_document().ok_or_else(|| unreachable!("a key is answered with a document"))
    }

    /// A page, from here or loaded like this.
    pub(crate) async fn list(
        &self,
        query: &Query,
        load: impl Future<Output = Result<Page, Error>>,
    ) -> Result<Page, Error> {
        if !self.cache.is_on() {
            // Questions that nobody remembers need not be written down.
            return self
                .load_alone(self.turn(), async { Ok(Answer::List(Arc::new(load.await?))) })
                .await
                .map(Answer::into_page);
        }
        let query: Arc<str> = query.canonical().into();
        let asked = Asked::List(&query);
        if let Some(answer) = self.find(asked) {
            return Ok(answer.into_page());
        }
        Ok(self.load(asked, async { Ok(Answer::List(Arc::new(load.await?))) }).await?.into_page())
    }

    fn find(&self, asked: Asked<'_>) -> Option<Answer> {
        let turn = self.turn.load(Ordering::Acquire);
        let seen = Position(self.seen.load(Ordering::Acquire));
        if self.turn.load(Ordering::Acquire) != turn {
            return None;
        }
        // Last: what is found now outlived every write up to where the view was seen.
        let answer = self.cache.get(turn, asked)?;
        self.counts.hit();
        Some(answer.no_earlier_than(seen))
    }

    async fn load(&self, asked: Asked<'_>, load: impl Future<Output = Landed>) -> Landed {
        let mut way = self.way(asked);
        match way {
            Way::Kept(_) => self.counts.hit(),
            _ if self.cache.is_on() => self.counts.missed(),
            _ => {}
        }
        loop {
            match way {
                Way::Kept(answer) => return Ok(answer),
                Way::Alone { turn } => return self.load_alone(turn, load).await,
                Way::Leading(leading) => {
                    let loaded = self.counted(load).await;
                    leading.land(&loaded);
                    return loaded;
                }
                Way::Joining { mut landed, since, seen } => {
                    // An error: whoever loaded it hung up.
                    let landed = landed.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
                    if let Some(landed) = landed {
                        // A store that does not show what it showed before, as a replica might, speaks for itself.
                        let is_late = |answer: &Answer| answer.at() < since;
                        return landed.map(|told| if is_late(&told) { told } else { told.no_earlier_than(seen) });
                    }
                    way = self.way(asked);
                }
            }
        }
    }

    async fn load_alone(&self, turn: u64, load: impl Future<Output = Landed>) -> Landed {
        let loaded = self.counted(load).await;
        if let Ok(answer) = &loaded {
            self.note(&mut self.write_state(), turn, answer.at());
        }
        loaded
    }

    async fn counted(&self, load: impl Future<Output = Landed>) -> Landed {
        let _until_it_is_there_or_given_up = self.counts.loading();
        load.await
    }

    fn way(&self, asked: Asked<'_>) -> Way<'_> {
        let mut write_state = self.write_state();
        let (turn, since) = (self.turn(), self.seen());
        if !write_state.is_open || !self.cache.is_on() || write_state.is_open_write(asked) {
            return Way::Alone { turn };
        }
        if let Some(answer) = self.cache.get(turn, asked) {
            return Way::Kept(answer.no_earlier_than(since));
        }
        let question = asked.to_question();
        if let Some(Flight { since: begun, landed, .. }) = write_state.flights.get(&question) {
            return Way::Joining { landed: landed.clone(), since: *begun, seen: since };
        }
        write_state.flights_begun += 1;
        let (number, (landing, landed)) = (write_state.flights_begun, watch::channel(None));
        write_state.flights.insert(question.clone(), Flight { number, since, landed });
        Way::Leading(Leading { view_cache: self, question, number, turn, since, landing })
    }

    /// Somebody is about to be told that the view is so far.
    fn note(&self, write_state: &mut WriteState, turn: u64, at: Position) {
        if turn != self.turn() || !write_state.is_open {
            return;
        }
        if at > write_state.announced {
            // Somebody moves the view who does not say so here.
            self.close(write_state);
        } else {
            self.see(at);
        }
    }
}

/// For the worker that moves the view.
impl ViewCache {
    pub(super) fn new(view: &'static str, cache: Arc<Shared>) -> Self {
        let turn = AtomicU64::new(cache.next_turn());
        let write_state = WriteState {
            is_open: false,
            build: None,
            successor: None,
            announced: Position::ZERO,
            open_keys: HashSet::new(),
            open_from: None,
            lost_from: None,
            flights: HashMap::new(),
            flights_begun: 0,
            listed: HashSet::new(),
        };
        let counts = Arc::new(Counts::of(view));
        Self { cache, counts, turn, seen: AtomicU64::new(0), write_state: Mutex::new(write_state) }
    }

    /// This build is served and is so far; the worker goes on from there. Call it before anybody is told how far the view
    /// is. What is kept stays if it is of this build and nobody else can have moved it.
    pub(crate) fn serves(&self, build: BuildNumber, offset: Offset) {
        let mut write_state = self.write_state();
        if write_state.successor.is_some_and(|successor| successor != build) {
            return;
        }
        write_state.successor = None;
        let at = offset.position;
        let is_known = write_state.is_open && write_state.build == Some(build) && at <= write_state.announced;
        if !is_known {
            self.turn_over(&mut write_state);
            if write_state.build != Some(build) {
                write_state.close_commits();
            }
            // Behind the turn: see `find`.
            self.seen.store(at.0, Ordering::Release);
            write_state.announced = at;
            write_state.build = Some(build);
            write_state.is_open = true;
        }
        self.see(at);
    }

    /// Something else is about to be served, or nothing, or the worker ends, and others may move the view. Until something
    /// [is served](Self::serves) from here, nothing is kept.
    pub(crate) fn closes(&self) {
        let mut write_state = self.write_state();
        self.close(&mut write_state);
        write_state.successor = None;
    }

    /// This build is about to take the place of the one that is served, whose worker may still say that it is. Until it
    /// [does](Self::serves), nothing is kept.
    pub(crate) fn gives_way_to(&self, build: BuildNumber) -> Closed {
        let mut write_state = self.write_state();
        let was_open = write_state.is_open;
        self.close(&mut write_state);
        write_state.successor = Some(build);
        Closed { was_open, turn: self.turn() }
    }

    /// It has not: what was served still is. If nothing else has happened to it since, it is kept as before.
    pub(crate) fn reopens(&self, Closed { was_open, turn }: Closed) {
        let mut write_state = self.write_state();
        write_state.successor = None;
        if self.turn() == turn {
            write_state.is_open = was_open;
        }
    }

    /// This build is not there any more.
    pub(crate) fn loses(&self, build: BuildNumber) {
        let mut write_state = self.write_state();
        if write_state.build == Some(build) {
            self.close(&mut write_state);
        }
        write_state.successor.take_if(|successor| *successor == build);
    }

    /// A commit is about to begin; nothing that it changes is here from now on, until it is known [how it
    /// ended](Self::wrote). Whether the build is served makes no difference to the caller: others are not read.
    pub(crate) fn writing(&self, build: BuildNumber, advance: &Advance) {
        let Advance { from, to, rows, gone, .. } = advance;
        let keys = || rows.iter().map(|row| &row.key).chain(gone);
        let mut write_state = self.write_state();
        if write_state.build != Some(build) {
            return;
        }
        write_state.announced = write_state.announced.max(to.position);
        write_state.lost_from = write_state.open_from;
        if keys().next().is_none() {
            return;
        }
        write_state.open_from = write_state.open_from.max(Some(*from));
        write_state.open_keys.extend(keys().cloned());
        // Who comes from now on must not get what these loads say, and neither must those who come after the commit.
        let mut flights = std::mem::take(&mut write_state.flights);
        flights.retain(|question, _| !write_state.is_open_write(question.asked()));
        write_state.flights = flights;
        let listed = std::mem::take(&mut write_state.listed);
        let turn = self.turn();
        drop(write_state);
        // What was under way cannot come any more, so what there is now is all there is.
        if self.counts.entries() > 0 {
            self.cache.remove(turn, keys().map(Asked::Document).chain(listed.iter().map(Asked::List)));
        }
    }

    /// How a commit ended. If that is not known it may have happened, or happen yet, as it may if this is never called:
    /// what it changes is kept again after the next one that moves the view on, for then it no longer can.
    pub(crate) fn wrote(&self, build: BuildNumber, to: Offset, outcome: &Result<(), CommitError>) {
        let mut write_state = self.write_state();
        if write_state.build != Some(build) {
            return;
        }
        match outcome {
            Ok(()) => {
                if write_state.lost_from.is_none_or(|from| to.position > from) {
                    write_state.close_commits();
                }
                // Also of a view_cache that is closed: it may be opened again.
                self.see(to.position);
            }
            Err(CommitError::Failed(_)) => {}
            // By somebody who does not say so here.
            Err(CommitError::Moved { .. }) => self.close(&mut write_state),
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Drops what is kept; says how many answers that were.
    pub(super) fn clear(&self) -> u64 {
        let mut write_state = self.write_state();
        let before = self.counts.entries();
        self.turn_over(&mut write_state);
        before
    }

    fn close(&self, write_state: &mut WriteState) {
        write_state.is_open = false;
        self.turn_over(write_state);
    }

    /// What is kept is out of reach from here, and so is what is under way.
    fn turn_over(&self, write_state: &mut WriteState) {
        let before = self.turn();
        self.turn.store(self.cache.next_turn(), Ordering::Release);
        write_state.flights.clear();
        write_state.listed.clear();
        self.cache.sweep(before);
    }

    fn see(&self, at: Position) {
        self.seen.fetch_max(at.0, Ordering::AcqRel);
    }

    fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    fn seen(&self) -> Position {
        Position(self.seen.load(Ordering::Acquire))
    }

    fn write_state(&self) -> MutexGuard<'_, WriteState> {
        // A panic in between may have left out any step of a change, and the turn is what makes that harmless.
        self.write_state.lock().unwrap_or_else(|poisoned| {
            let mut write_state = PoisonError::into_inner(poisoned);
            self.write_state.clear_poison();
            self.close(&mut write_state);
            write_state
        })
    }
}

impl WriteState {
    /// Whether an answer may be changed by a commit whose end is not known.
    fn is_open_write(&self, asked: Asked<'_>) -> bool {
        match asked {
            Asked::Document(key) => self.open_keys.contains(key),
            Asked::List(_) => self.open_from.is_some(),
        }
    }

    fn close_commits(&mut self) {
        self.open_keys.clear();
        (self.open_from, self.lost_from) = (None, None);
    }
}

impl Leading<'_> {
    /// Keeps what was loaded, unless it was out of date before it came, and hands it to those who wait.
    fn land(self, loaded: &Landed) {
        let Self { view_cache, question, number, turn, since, landing } = &self;
        if let Ok(answer) = loaded {
            let mut write_state = view_cache.write_state();
            view_cache.note(&mut write_state, *turn, answer.at());
            // Taken away by a write or a turn, if there was any.
            let is_valid = write_state.flights.get(question).is_some_and(|flight| flight.number == *number);
            if is_valid && answer.at() >= *since {
                if let Question::List(query) = question {
                    view_cache.note_list(&mut write_state, *turn, query);
                }
                view_cache.cache.insert(*turn, question.clone(), answer.clone(), &view_cache.counts);
            }
        }
        landing.send_replace(Some(loaded.clone()));
    }
}

/// Also if it never landed: its caller hung up, and those who wait find another way.
impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut write_state = self.view_cache.write_state();
        if write_state.flights.get(&self.question).is_some_and(|flight| flight.number == self.number) {
            write_state.flights.remove(&self.question);
        }
    }
}

impl ViewCache {
    /// Remembers a list that is kept. Those that have gone are forgotten when there are more of them than of the others.
    fn note_list(&self, write_state: &mut WriteState, turn: u64, query: &Arc<str>) {
        let most = 2 * usize::try_from(self.counts.entries()).unwrap_or(usize::MAX / 2) + 64;
        if write_state.listed.len() >= most {
            write_state.listed.retain(|query| self.cache.has(turn, Asked::List(query)));
        }
        write_state.listed.insert(Arc::clone(query));
    }
}

impl Answer {
    /// As true at a later position, which whoever calls knows.
    fn no_earlier_than(self, position: Position) -> Self {
        let at = self.at().max(position);
        match self {
            Self::Document(found) => Self::Document(Found { at, ..found }),
            Self::List(page) if page.at == at => Self::List(page),
            Self::List(page) => Self::List(Arc::new(Page { at, ..Arc::unwrap_or_clone(page) })),
        }
    }

    fn into_document(self) -> Option<Found> {
        match self {
            Self::Document(found) => Some(found),
            Self::List(_) => None,
        }
    }

    fn into_page(self) -> Page {
        match self {
            Self::List(page) => Arc::unwrap_or_clone(page),
            Self::Document(_) => unreachable!("a query is answered with a page"),
        }
    }
}

#[cfg(test)]
impl ViewCache {
    /// How many lists it remembers.
    pub(super) fn listed(&self) -> usize {
        self.write_state().listed.len()
    }
}

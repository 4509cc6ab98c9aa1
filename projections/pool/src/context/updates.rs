//! All changes of a view's [`Progress`](crate::Progress). A change of the served build is announced to the cache before
//! readers can see it.

use dormouse_kernel::{Clock, Position, SystemClock};

use super::{Job, ProjectionContext};
use crate::error::ProjectionError;
use crate::progress::{Rebuild, State};
use crate::store::{Build, BuildNumber, Offset};

impl ProjectionContext {
    /// Records the builds that the planner has found.
    pub(super) async fn set_builds(
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
            // If the served build already has a worker, the position that the worker has recorded is newer than this
            // one.
            if is_paused || progress.build != build {
                // The cache stays closed until the worker has opened the build.
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

    /// Records the position at which a worker has opened its build.
    pub(crate) fn set_running(&self, build: Build, is_served: bool, parked: usize) {
        let Build { number, version, begun_after, offset } = build;
        self.progress.send_modify(|progress| {
            let next = progress.rebuild.take_if(|rebuild| rebuild.build == number);
            match next {
                Some(next) if !is_served => {
                    progress.rebuild = Some(Rebuild { position: offset.position, state: State::Running, ..next });
                }
                next if next.is_some() || progress.build == Some(number) => {
                    self.view_cache.serves(number, offset);
                    (progress.build, progress.version) = (Some(number), Some(version));
                    (progress.position, progress.mark) = (offset.position, offset.mark());
                    (progress.begun_after, progress.parked, progress.state) = (begun_after, parked, State::Running);
                }
                // Another build has replaced it since, or no plan has named it.
                _ => {}
            }
        });
    }

    /// Records that a build has moved: for the served build this is the watermark. If another build has replaced it in
    /// the meantime, nothing changes.
    pub(crate) fn set_offset(&self, number: BuildNumber, to: Offset, parked: usize, events_per_second: f64) {
        self.progress.send_modify(|progress| {
            if progress.build == Some(number) {
                (progress.position, progress.mark, progress.parked) = (to.position, to.mark(), parked);
            } else if let Some(rebuild) = progress.rebuild.as_mut().filter(|rebuild| rebuild.build == number) {
                (rebuild.position, rebuild.events_per_second) = (to.position, events_per_second);
            }
        });
    }

    /// Records how many aggregates have parked events, if the build is served.
    pub(crate) fn set_parked(&self, number: BuildNumber, parked: usize) {
        self.progress.send_modify(|progress| {
            if progress.build == Some(number) {
                progress.parked = parked;
            }
        });
    }

    /// Records the state of a job after a failed attempt.
    pub(crate) fn set_state(&self, job: Job, state: State) {
        self.progress.send_modify(|progress| match (job, &mut progress.rebuild) {
            (Job::Build(number), Some(rebuild)) if rebuild.build == number => {
                // The build that should replace an outdated view has stopped, so the view gets the same state.
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
            // A planner's failure changes nothing for workers that run.
            (Job::Plan, _) if matches!(progress.state, State::Starting | State::Retrying(_)) => progress.state = state,
            (Job::Plan, _) if progress.state == State::Outdated && state.is_final() => progress.state = state,
            _ => {}
        });
    }

    /// Forgets all builds, because an operator request replaces or has dropped them. The next plan finds their
    /// positions.
    pub(crate) fn clear_builds(&self, position: Position, state: State) {
        self.view_cache.closes();
        self.progress.send_modify(|progress| {
            (progress.build, progress.version, progress.rebuild) = (None, None, None);
            (progress.position, progress.mark, progress.parked, progress.state) = (position, None, 0, state);
        });
    }

    /// Records that an operator request has paused or resumed the projection. The caller has stopped all workers.
    pub(crate) fn set_states(&self, state: State) {
        self.view_cache.closes();
        self.progress.send_modify(|progress| {
            if let Some(rebuild) = &mut progress.rebuild {
                rebuild.state = state.clone();
            }
            progress.state = state;
        });
    }

    /// Records that all workers have ended, and none will be started.
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
}

fn rebuild(build: Build, state: State) -> Rebuild {
    let Build { number, version, offset: Offset { position, .. }, .. } = build;
    let started_at = SystemClock.now();
    Rebuild { build: number, version, from: position, started_at, position, events_per_second: 0.0, state }
}

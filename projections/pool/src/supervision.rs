//! The supervisor of the workers: each is restarted on its own, within limits, and given up on its own.
//!
//! A projection is a projection. Its planner says which builds there are to work on, and each of them gets a worker. A worker
//! whose build has gone ends quietly, because another build has taken its place; if nobody else is left, a plan is made
//! anew.

use std::sync::Arc;

use dormouse_kernel::{Failures, Limits, RestartDecision};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::context::Job;
use crate::progress::State;
use crate::release::OperatorRequest;
use crate::store::BuildNumber;
use crate::worker::{AnyProjector, GONE, OperatorRequests, WorkerArguments};

pub(crate) struct Root;

/// What the root is asked to do; projections go by their numbers. Operators come one at a time to a projection and wait
/// for their answer, a planner speaks once, and a restart is asked for once for each failure: so there are few at a time.
pub(crate) enum RootMessage {
    /// The pause of a worker is over.
    Restart(usize, Job),
    /// Find out which builds there are to work on.
    Plan(usize),
    /// These they are.
    Planned { projection: usize, plan: u64, builds: Vec<BuildNumber> },
    /// Let all workers but that of one build end, forget how often they have failed, and say when they have ended.
    Halt { projection: usize, but: Option<BuildNumber>, halted: oneshot::Sender<()> },
    /// Say how to reach the workers of the builds.
    Workers { projection: usize, told: oneshot::Sender<Vec<OperatorRequests>> },
    /// The workers were told to stop: end when they have.
    Stop,
}

pub(crate) struct Startup {
    pub(crate) projectors: Vec<Arc<dyn AnyProjector>>,
    pub(crate) limits: Limits,
    pub(crate) stop: watch::Receiver<bool>,
}

pub(crate) struct RootState {
    projections: Vec<SupervisedProjection>,
    limits: Limits,
    is_stopping: bool,
}

/// A projection and its workers.
struct SupervisedProjection {
    number: usize,
    projector: Arc<dyn AnyProjector>,
    children: Vec<Child>,
    /// The latest plan: what comes of an earlier one is of no interest.
    plan: u64,
    /// Those who wait until everybody has left who was asked to.
    halting: Vec<oneshot::Sender<()>>,
}

struct Child {
    job: Job,
    worker: Option<Reach>,
    failures: Failures,
    is_leaving: bool,
    is_given_up: bool,
}

/// How a worker that runs is reached.
struct Reach {
    id: ActorId,
    stop: watch::Sender<bool>,
    requests: mpsc::Sender<OperatorRequest>,
}

impl Actor for Root {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = Startup;

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        startup: Startup,
    ) -> Result<RootState, ActorProcessingErr> {
        let Startup { projectors, limits, stop } = startup;
        let projection = |(number, projector)| SupervisedProjection {
            number,
            projector,
            children: Vec::new(),
            plan: 0,
            halting: Vec::new(),
        };
        let mut projections: Vec<SupervisedProjection> = projectors.into_iter().enumerate().map(projection).collect();
        for projection in &mut projections {
            projection.start(Job::Plan, &myself).await?;
        }
        tell_when_stopped(stop, myself);
        Ok(RootState { projections, limits, is_stopping: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Stop => {
                state.is_stopping = true;
                state.projections.iter_mut().for_each(|projection| projection.halt(None));
                state.end_if_all_have(&myself);
            }
            // Those who wait for an answer find that it never comes.
            _ if state.is_stopping => {}
            RootMessage::Restart(projection, job) => {
                if state.projections[projection].child(job).is_some_and(|child| child.worker.is_none()) {
                    state.projections[projection].start(job, &myself).await?;
                }
            }
            RootMessage::Plan(projection) => state.projections[projection].start(Job::Plan, &myself).await?,
            RootMessage::Planned { projection, plan, builds } => {
                state.projections[projection].planned(plan, builds, &myself).await?;
            }
            RootMessage::Halt { projection, but, halted } => {
                let projection = &mut state.projections[projection];
                projection.halt(but);
                projection.halting.push(halted);
                projection.tell_if_halted();
            }
            RootMessage::Workers { projection, told } => {
                let reached = state.projections[projection].children.iter().filter_map(Child::requests).collect();
                // Whoever asked may have gone.
                let _gone = told.send(reached);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let (ended, how) = match event {
            SupervisionEvent::ActorFailed(ended, problem) => (ended, Ending::Failed(problem.to_string())),
            SupervisionEvent::ActorTerminated(ended, _, Some(reason)) if reason == GONE => (ended, Ending::Gone),
            SupervisionEvent::ActorTerminated(ended, ..) => (ended, Ending::Done),
            _ => return Ok(()),
        };
        let is_it = |child: &Child| child.worker.as_ref().is_some_and(|worker| worker.id == ended.get_id());
        for projection in &mut state.projections {
            if let Some(number) = projection.children.iter().position(is_it) {
                projection.ended(number, how, &state.limits, &myself);
                break;
            }
        }
        if state.is_stopping {
            state.end_if_all_have(&myself);
        }
        Ok(())
    }
}

/// How a worker ended.
enum Ending {
    /// It was told to, or has done all there was to do.
    Done,
    /// There is nothing any more for it to do.
    Gone,
    Failed(String),
}

impl RootState {
    fn end_if_all_have(&self, root: &ActorRef<RootMessage>) {
        let mut have_all = true;
        for projection in &self.projections {
            if projection.children.is_empty() {
                projection.projector.context().end(State::Ended);
            } else {
                have_all = false;
            }
        }
        if have_all {
            root.stop(None);
        }
    }
}

impl SupervisedProjection {
    fn child(&mut self, job: Job) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.job == job)
    }

    async fn start(&mut self, job: Job, root: &ActorRef<RootMessage>) -> Result<(), ActorProcessingErr> {
        if job == Job::Plan {
            self.plan += 1;
        }
        let (stop, stopped) = watch::channel(false);
        let (requests, received) = mpsc::channel(1);
        let arguments = WorkerArguments {
            job,
            stop: stopped,
            requests: received,
            root: root.clone(),
            projection: self.number,
            plan: self.plan,
        };
        let id = Arc::clone(&self.projector).start(arguments).await?;
        let worker = Some(Reach { id, stop, requests });
        match self.child(job) {
            Some(child) => child.worker = worker,
            None => self.children.push(Child {
                job,
                worker,
                failures: Failures::default(),
                is_leaving: false,
                is_given_up: false,
            }),
        }
        Ok(())
    }

    async fn planned(
        &mut self,
        plan: u64,
        builds: Vec<BuildNumber>,
        root: &ActorRef<RootMessage>,
    ) -> Result<(), ActorProcessingErr> {
        if plan != self.plan {
            return Ok(());
        }
        for build in builds {
            // One that was given up stays so.
            if self.child(Job::Build(build)).is_none() {
                self.start(Job::Build(build), root).await?;
            }
        }
        Ok(())
    }

    fn halt(&mut self, but: Option<BuildNumber>) {
        // Whatever a planner is at is not what is wanted now.
        self.plan += 1;
        self.children.retain_mut(|child| {
            if but.is_some_and(|build| child.job == Job::Build(build)) {
                return true;
            }
            let Some(worker) = &child.worker else { return false };
            worker.stop.send_replace(true);
            child.is_leaving = true;
            true
        });
    }

    fn tell_if_halted(&mut self) {
        if self.children.iter().all(|child| !child.is_leaving) {
            // Whoever asked may have gone.
            self.halting.drain(..).for_each(|halted| _ = halted.send(()));
        }
    }

    fn ended(&mut self, number: usize, how: Ending, limits: &Limits, root: &ActorRef<RootMessage>) {
        let child = &mut self.children[number];
        child.worker = None;
        let job = child.job;
        if child.is_leaving {
            self.children.remove(number);
            self.tell_if_halted();
            return;
        }
        match how {
            Ending::Failed(problem) => self.failed(job, problem, limits, root),
            // How often a planner has failed is to be remembered.
            Ending::Done if job == Job::Plan => {}
            Ending::Done => _ = self.children.remove(number),
            Ending::Gone => {
                self.children.remove(number);
                let is_at_work = |child: &Child| child.job != Job::Plan && !child.is_given_up;
                if !self.children.iter().any(is_at_work) {
                    let problem = "what is served was replaced by somebody else, or lost".to_owned();
                    self.projector.context().set_state(job, State::Retrying(problem.clone()));
                    self.failed(Job::Plan, problem, limits, root);
                }
            }
        }
    }

    fn failed(&mut self, job: Job, problem: String, limits: &Limits, root: &ActorRef<RootMessage>) {
        let (projection, context) = (self.number, Arc::clone(self.projector.context()));
        let view = context.definition.name();
        let Some(child) = self.child(job) else { return };
        let now = Instant::now().into_std();
        match child.failures.record(now, limits, &problem) {
            RestartDecision::Restart { until } => {
                warn!(view, ?job, problem, "a projection failed, restarting it");
                context.set_state(job, State::Retrying(problem));
                root.send_after(until.saturating_duration_since(now), move || RootMessage::Restart(projection, job));
            }
            RestartDecision::GiveUp { reason } => {
                error!(view, ?job, reason, "a projection keeps failing and is stopped");
                child.is_given_up = true;
                context.set_state(job, State::Stopped(reason));
            }
        }
    }
}

impl Child {
    fn requests(&self) -> Option<OperatorRequests> {
        match (self.job, &self.worker) {
            (Job::Build(build), Some(worker)) => Some((build, worker.requests.clone())),
            _ => None,
        }
    }
}

/// Also when nobody holds a handle any more.
fn tell_when_stopped(mut stop: watch::Receiver<bool>, root: ActorRef<RootMessage>) {
    tokio::spawn(async move {
        let _told = stop.wait_for(|stop| *stop).await.is_ok();
        // A root that has ended needs no telling.
        let _ended = root.send_message(RootMessage::Stop);
    });
}

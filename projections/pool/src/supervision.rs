//! The supervisor of the workers: each is restarted on its own, within limits, and given up on its own.
//!
//! A projection is a ward. Its planner says which builds there are to work on, and each of them gets a worker. A worker
//! whose build has gone ends quietly, because another build has taken its place; if nobody else is left, a plan is made
//! anew.

use std::sync::Arc;

use dormouse_kernel::{Failures, Limits, Verdict};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::progress::State;
use crate::release::Order;
use crate::store::BuildNumber;
use crate::upkeep::Job;
use crate::worker::{AnyProjector, Commission, GONE, Orders};

pub(crate) struct Root;

/// What the root is asked to do; projections go by their numbers. Operators come one at a time to a projection and wait
/// for their answer, a planner speaks once, and a restart is asked for once for each failure: so there are few at a time.
pub(crate) enum RootMessage {
    /// The pause of a worker is over.
    Restart(usize, Job),
    /// Find out which builds there are to work on.
    Plan(usize),
    /// These they are.
    Planned { ward: usize, plan: u64, builds: Vec<BuildNumber> },
    /// Let all workers but that of one build end, forget how often they have failed, and say when they have ended.
    Halt { ward: usize, but: Option<BuildNumber>, halted: oneshot::Sender<()> },
    /// Say how to reach the workers of the builds.
    Workers { ward: usize, told: oneshot::Sender<Vec<Orders>> },
    /// The workers were told to stop: end when they have.
    Stop,
}

pub(crate) struct Startup {
    pub(crate) projectors: Vec<Arc<dyn AnyProjector>>,
    pub(crate) limits: Limits,
    pub(crate) stop: watch::Receiver<bool>,
}

pub(crate) struct RootState {
    wards: Vec<Ward>,
    limits: Limits,
    is_stopping: bool,
}

/// A projection and its workers.
struct Ward {
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
    orders: mpsc::Sender<Order>,
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
        let ward = |(number, projector)| Ward { number, projector, children: Vec::new(), plan: 0, halting: Vec::new() };
        let mut wards: Vec<Ward> = projectors.into_iter().enumerate().map(ward).collect();
        for ward in &mut wards {
            ward.start(Job::Plan, &myself).await?;
        }
        tell_when_stopped(stop, myself);
        Ok(RootState { wards, limits, is_stopping: false })
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
                state.wards.iter_mut().for_each(|ward| ward.halt(None));
                state.end_if_all_have(&myself);
            }
            // Those who wait for an answer find that it never comes.
            _ if state.is_stopping => {}
            RootMessage::Restart(ward, job) => {
                if state.wards[ward].child(job).is_some_and(|child| child.worker.is_none()) {
                    state.wards[ward].start(job, &myself).await?;
                }
            }
            RootMessage::Plan(ward) => state.wards[ward].start(Job::Plan, &myself).await?,
            RootMessage::Planned { ward, plan, builds } => {
                state.wards[ward].planned(plan, builds, &myself).await?;
            }
            RootMessage::Halt { ward, but, halted } => {
                let ward = &mut state.wards[ward];
                ward.halt(but);
                ward.halting.push(halted);
                ward.tell_if_halted();
            }
            RootMessage::Workers { ward, told } => {
                let reached = state.wards[ward].children.iter().filter_map(Child::orders).collect();
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
        for ward in &mut state.wards {
            if let Some(number) = ward.children.iter().position(is_it) {
                ward.ended(number, how, &state.limits, &myself);
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
        for ward in &self.wards {
            if ward.children.is_empty() {
                ward.projector.upkeep().end(State::Ended);
            } else {
                have_all = false;
            }
        }
        if have_all {
            root.stop(None);
        }
    }
}

impl Ward {
    fn child(&mut self, job: Job) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.job == job)
    }

    async fn start(&mut self, job: Job, root: &ActorRef<RootMessage>) -> Result<(), ActorProcessingErr> {
        if job == Job::Plan {
            self.plan += 1;
        }
        let (stop, stopped) = watch::channel(false);
        let (orders, received) = mpsc::channel(1);
        let commission =
            Commission { job, stop: stopped, orders: received, root: root.clone(), ward: self.number, plan: self.plan };
        let id = Arc::clone(&self.projector).start(commission).await?;
        let worker = Some(Reach { id, stop, orders });
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
                    self.projector.upkeep().set_state(job, State::Retrying(problem.clone()));
                    self.failed(Job::Plan, problem, limits, root);
                }
            }
        }
    }

    fn failed(&mut self, job: Job, problem: String, limits: &Limits, root: &ActorRef<RootMessage>) {
        let (ward, upkeep) = (self.number, Arc::clone(self.projector.upkeep()));
        let view = upkeep.definition.name();
        let Some(child) = self.child(job) else { return };
        let now = Instant::now().into_std();
        match child.failures.record(now, limits, &problem) {
            Verdict::Restart { until } => {
                warn!(view, ?job, problem, "a projection failed, restarting it");
                upkeep.set_state(job, State::Retrying(problem));
                root.send_after(until.saturating_duration_since(now), move || RootMessage::Restart(ward, job));
            }
            Verdict::GiveUp { reason } => {
                error!(view, ?job, reason, "a projection keeps failing and is stopped");
                child.is_given_up = true;
                upkeep.set_state(job, State::Stopped(reason));
            }
        }
    }
}

impl Child {
    fn orders(&self) -> Option<Orders> {
        match (self.job, &self.worker) {
            (Job::Build(build), Some(worker)) => Some((build, worker.orders.clone())),
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

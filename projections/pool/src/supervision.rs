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
use crate::release::ReleaseRequest;
use crate::store::BuildNumber;
use crate::worker::{AnyProjector, BUILD_GONE, ReleaseSender, WorkerArguments};

pub(crate) struct Supervisor;

/// What the supervisor is asked to do; projections go by their numbers. Operators come one at a time to a projection and wait
/// for their answer, a planner speaks once, and a restart is asked for once for each failure: so there are few at a time.
pub(crate) enum SupervisorMessage {
    /// The pause of a worker is over.
    Restart(usize, Job),
    /// Find out which builds there are to work on.
    Plan(usize),
    /// These they are.
    Planned { projection: usize, plan: u64, builds: Vec<BuildNumber> },
    /// Let all workers but that of one build end, forget how often they have failed, and say when they have ended.
    StopWorkers { projection: usize, except: Option<BuildNumber>, stopped: oneshot::Sender<()> },
    /// Say how to reach the workers of the builds.
    ListWorkers { projection: usize, reply: oneshot::Sender<Vec<ReleaseSender>> },
    /// The workers were told to stop: end when they have.
    Stop,
}

pub(crate) struct SupervisorArguments {
    pub(crate) projectors: Vec<Arc<dyn AnyProjector>>,
    pub(crate) limits: Limits,
    pub(crate) stop: watch::Receiver<bool>,
}

pub(crate) struct SupervisorState {
    projections: Vec<SupervisedProjection>,
    limits: Limits,
    is_stopping: bool,
}

/// A projection and its workers.
struct SupervisedProjection {
    number: usize,
    projector: Arc<dyn AnyProjector>,
    jobs: Vec<SupervisedJob>,
    /// The latest plan: what comes of an earlier one is of no interest.
    plan: u64,
    /// Those who wait until everybody has left who was asked to.
    waiting_for_stop: Vec<oneshot::Sender<()>>,
}

struct SupervisedJob {
    job: Job,
    worker: Option<RunningWorker>,
    failures: Failures,
    is_stopping: bool,
    is_given_up: bool,
}

/// How a worker that runs is reached.
struct RunningWorker {
    id: ActorId,
    stop: watch::Sender<bool>,
    requests: mpsc::Sender<ReleaseRequest>,
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = SupervisorState;
    type Arguments = SupervisorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        startup: SupervisorArguments,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let SupervisorArguments { projectors, limits, stop } = startup;
        let projection = |(number, projector)| SupervisedProjection {
            number,
            projector,
            jobs: Vec::new(),
            plan: 0,
            waiting_for_stop: Vec::new(),
        };
        let mut projections: Vec<SupervisedProjection> = projectors.into_iter().enumerate().map(projection).collect();
        for projection in &mut projections {
            projection.start(Job::Plan, &myself).await?;
        }
        forward_stop(stop, myself);
        Ok(SupervisorState { projections, limits, is_stopping: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Stop => {
                state.is_stopping = true;
                state.projections.iter_mut().for_each(|projection| projection.stop_workers(None));
                state.stop_if_all_ended(&myself);
            }
            // Those who wait for an answer find that it never comes.
            _ if state.is_stopping => {}
            SupervisorMessage::Restart(projection, job) => {
                if state.projections[projection].find(job).is_some_and(|supervised| supervised.worker.is_none()) {
                    state.projections[projection].start(job, &myself).await?;
                }
            }
            SupervisorMessage::Plan(projection) => state.projections[projection].start(Job::Plan, &myself).await?,
            SupervisorMessage::Planned { projection, plan, builds } => {
                state.projections[projection].start_builds(plan, builds, &myself).await?;
            }
            SupervisorMessage::StopWorkers { projection, except, stopped } => {
                let projection = &mut state.projections[projection];
                projection.stop_workers(except);
                projection.waiting_for_stop.push(stopped);
                projection.report_if_stopped();
            }
            SupervisorMessage::ListWorkers { projection, reply } => {
                let senders =
                    state.projections[projection].jobs.iter().filter_map(SupervisedJob::release_sender).collect();
                // Whoever asked may have gone.
                let _gone = reply.send(senders);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let (ended, end) = match event {
            SupervisionEvent::ActorFailed(ended, problem) => (ended, WorkerEnd::Failed(problem.to_string())),
            SupervisionEvent::ActorTerminated(ended, _, Some(reason)) if reason == BUILD_GONE => {
                (ended, WorkerEnd::BuildGone)
            }
            SupervisionEvent::ActorTerminated(ended, ..) => (ended, WorkerEnd::Finished),
            _ => return Ok(()),
        };
        let is_it =
            |supervised: &SupervisedJob| supervised.worker.as_ref().is_some_and(|worker| worker.id == ended.get_id());
        for projection in &mut state.projections {
            if let Some(number) = projection.jobs.iter().position(is_it) {
                projection.worker_ended(number, end, &state.limits, &myself);
                break;
            }
        }
        if state.is_stopping {
            state.stop_if_all_ended(&myself);
        }
        Ok(())
    }
}

/// How a worker ended.
enum WorkerEnd {
    /// It was told to, or has done all there was to do.
    Finished,
    /// There is nothing any more for it to do.
    BuildGone,
    Failed(String),
}

impl SupervisorState {
    fn stop_if_all_ended(&self, supervisor: &ActorRef<SupervisorMessage>) {
        let mut all_ended = true;
        for projection in &self.projections {
            if projection.jobs.is_empty() {
                projection.projector.context().set_ended(State::Ended);
            } else {
                all_ended = false;
            }
        }
        if all_ended {
            supervisor.stop(None);
        }
    }
}

impl SupervisedProjection {
    fn find(&mut self, job: Job) -> Option<&mut SupervisedJob> {
        self.jobs.iter_mut().find(|supervised| supervised.job == job)
    }

    async fn start(&mut self, job: Job, supervisor: &ActorRef<SupervisorMessage>) -> Result<(), ActorProcessingErr> {
        if job == Job::Plan {
            self.plan += 1;
        }
        let (stop, stopped) = watch::channel(false);
        let (requests, received) = mpsc::channel(1);
        let arguments = WorkerArguments {
            job,
            stop: stopped,
            requests: received,
            supervisor: supervisor.clone(),
            projection: self.number,
            plan: self.plan,
        };
        let id = Arc::clone(&self.projector).start_worker(arguments).await?;
        let worker = Some(RunningWorker { id, stop, requests });
        match self.find(job) {
            Some(supervised) => supervised.worker = worker,
            None => self.jobs.push(SupervisedJob {
                job,
                worker,
                failures: Failures::default(),
                is_stopping: false,
                is_given_up: false,
            }),
        }
        Ok(())
    }

    async fn start_builds(
        &mut self,
        plan: u64,
        builds: Vec<BuildNumber>,
        supervisor: &ActorRef<SupervisorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        if plan != self.plan {
            return Ok(());
        }
        for build in builds {
            // One that was given up stays so.
            if self.find(Job::Build(build)).is_none() {
                self.start(Job::Build(build), supervisor).await?;
            }
        }
        Ok(())
    }

    fn stop_workers(&mut self, except: Option<BuildNumber>) {
        // Whatever a planner is at is not what is wanted now.
        self.plan += 1;
        self.jobs.retain_mut(|supervised| {
            if except.is_some_and(|build| supervised.job == Job::Build(build)) {
                return true;
            }
            let Some(worker) = &supervised.worker else { return false };
            worker.stop.send_replace(true);
            supervised.is_stopping = true;
            true
        });
    }

    fn report_if_stopped(&mut self) {
        if self.jobs.iter().all(|supervised| !supervised.is_stopping) {
            // Whoever asked may have gone.
            self.waiting_for_stop.drain(..).for_each(|stopped| _ = stopped.send(()));
        }
    }

    fn worker_ended(
        &mut self,
        number: usize,
        end: WorkerEnd,
        limits: &Limits,
        supervisor: &ActorRef<SupervisorMessage>,
    ) {
        let supervised = &mut self.jobs[number];
        supervised.worker = None;
        let job = supervised.job;
        if supervised.is_stopping {
            self.jobs.remove(number);
            self.report_if_stopped();
            return;
        }
        match end {
            WorkerEnd::Failed(problem) => self.restart_or_give_up(job, problem, limits, supervisor),
            // How often a planner has failed is to be remembered.
            WorkerEnd::Finished if job == Job::Plan => {}
            WorkerEnd::Finished => _ = self.jobs.remove(number),
            WorkerEnd::BuildGone => {
                self.jobs.remove(number);
                let is_at_work = |supervised: &SupervisedJob| supervised.job != Job::Plan && !supervised.is_given_up;
                if !self.jobs.iter().any(is_at_work) {
                    let problem = "what is served was replaced by somebody else, or lost".to_owned();
                    self.projector.context().set_state(job, State::Retrying(problem.clone()));
                    self.restart_or_give_up(Job::Plan, problem, limits, supervisor);
                }
            }
        }
    }

    fn restart_or_give_up(
        &mut self,
        job: Job,
        problem: String,
        limits: &Limits,
        supervisor: &ActorRef<SupervisorMessage>,
    ) {
        let (projection, context) = (self.number, Arc::clone(self.projector.context()));
        let view = context.definition.name();
        let Some(supervised) = self.find(job) else { return };
        let now = Instant::now().into_std();
        match supervised.failures.record(now, limits, &problem) {
            RestartDecision::Restart { until } => {
                warn!(view, ?job, problem, "a projection failed, restarting it");
                context.set_state(job, State::Retrying(problem));
                supervisor.send_after(until.saturating_duration_since(now), move || {
                    SupervisorMessage::Restart(projection, job)
                });
            }
            RestartDecision::GiveUp { reason } => {
                error!(view, ?job, reason, "a projection keeps failing and is stopped");
                supervised.is_given_up = true;
                context.set_state(job, State::Stopped(reason));
            }
        }
    }
}

impl SupervisedJob {
    fn release_sender(&self) -> Option<ReleaseSender> {
        match (self.job, &self.worker) {
            (Job::Build(build), Some(worker)) => Some((build, worker.requests.clone())),
            _ => None,
        }
    }
}

/// Also when nobody holds a handle any more.
fn forward_stop(mut stop: watch::Receiver<bool>, supervisor: ActorRef<SupervisorMessage>) {
    tokio::spawn(async move {
        let _told = stop.wait_for(|stop| *stop).await.is_ok();
        // A supervisor that has ended needs no telling.
        let _ended = supervisor.send_message(SupervisorMessage::Stop);
    });
}

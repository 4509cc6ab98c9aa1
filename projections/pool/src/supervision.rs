//! The supervisor of all workers. It restarts each worker separately, within limits, and gives up each one separately.
//!
//! Each projection has one planner job, and one job for each build that its plan names. If a worker finds that its
//! build does not exist any more, because another build has replaced it or it was dropped, the worker ends without an
//! error. If that was the last worker of the projection, the supervisor makes a new plan. `retry_rules.rs` has the
//! limits.

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

/// The messages to the supervisor. A projection is named by its number.
///
/// The mailbox stays short without a bound: requests of operators for one projection run one at a time and wait for the
/// reply, each planner reports once, and each failure leads to one restart.
pub(crate) enum SupervisorMessage {
    /// Restart a worker after its pause.
    Restart(usize, Job),
    /// Start a planner.
    Plan(usize),
    /// The planner's result.
    Planned { projection: usize, plan: u64, builds: Vec<BuildNumber> },
    /// Stop all workers except that of one build, forget their failures, and report when they have ended.
    StopWorkers { projection: usize, except: Option<BuildNumber>, stopped: oneshot::Sender<()> },
    /// List the running workers of builds.
    ListWorkers { projection: usize, reply: oneshot::Sender<Vec<ReleaseSender>> },
    /// Stop all workers, and end when they have ended.
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
    /// The number of the latest plan. The results of earlier ones are ignored.
    plan: u64,
    /// Notified when all workers that were told to stop have ended.
    waiting_for_stop: Vec<oneshot::Sender<()>>,
}

/// A job, and the state of its worker.
struct SupervisedJob {
    job: Job,
    /// `None` during the pause before a restart, after the job was given up, and after a planner has finished.
    worker: Option<RunningWorker>,
    failures: Failures,
    is_stopping: bool,
    is_given_up: bool,
}

/// A running worker, and the channels to it.
struct RunningWorker {
    id: ActorId,
    stop: watch::Sender<bool>,
    requests: mpsc::Sender<ReleaseRequest>,
}

/// How a worker ended.
enum WorkerEnd {
    /// It was told to stop, or its work is done.
    Finished,
    /// Its build does not exist any more.
    BuildGone,
    Failed(String),
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = SupervisorState;
    type Arguments = SupervisorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        arguments: SupervisorArguments,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let SupervisorArguments { projectors, limits, stop } = arguments;
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
            // A caller that waits for a reply gets an error, because its sender is dropped with the message.
            _ if state.is_stopping => {}
            SupervisorMessage::Restart(projection, job) => {
                let projection = &mut state.projections[projection];
                if projection.find(job).is_some_and(|supervised| supervised.worker.is_none()) {
                    projection.start(job, &myself).await?;
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
                let jobs = state.projections[projection].jobs.iter();
                // The caller may have been cancelled.
                let _is_received = reply.send(jobs.filter_map(SupervisedJob::release_sender).collect());
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
        let (actor, end) = match event {
            SupervisionEvent::ActorFailed(actor, problem) => (actor, WorkerEnd::Failed(problem.to_string())),
            SupervisionEvent::ActorTerminated(actor, _, Some(reason)) if reason == BUILD_GONE => {
                (actor, WorkerEnd::BuildGone)
            }
            SupervisionEvent::ActorTerminated(actor, ..) => (actor, WorkerEnd::Finished),
            _ => return Ok(()),
        };
        let has_ended =
            |supervised: &SupervisedJob| supervised.worker.as_ref().is_some_and(|worker| worker.id == actor.get_id());
        for projection in &mut state.projections {
            if let Some(number) = projection.jobs.iter().position(has_ended) {
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
        let (stop, stop_receiver) = watch::channel(false);
        // One is enough: operator requests of a projection run one at a time.
        let (requests, request_receiver) = mpsc::channel(1);
        let arguments = WorkerArguments {
            job,
            stop: stop_receiver,
            requests: request_receiver,
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
            // A worker that was given up is not started again.
            if self.find(Job::Build(build)).is_none() {
                self.start(Job::Build(build), supervisor).await?;
            }
        }
        Ok(())
    }

    fn stop_workers(&mut self, except: Option<BuildNumber>) {
        // A planner that runs now would return an outdated result.
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
            // The caller may have been cancelled.
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
            // The job of a planner stays, because it counts the planner's failures.
            WorkerEnd::Finished if job == Job::Plan => {}
            WorkerEnd::Finished => _ = self.jobs.remove(number),
            WorkerEnd::BuildGone => {
                self.jobs.remove(number);
                let moves_a_build = |supervised: &SupervisedJob| supervised.job != Job::Plan && !supervised.is_given_up;
                if !self.jobs.iter().any(moves_a_build) {
                    let problem = "the build that is served was lost, or replaced by another process".to_owned();
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
                warn!(view, ?job, problem, "a projection failed and is restarted");
                context.set_state(job, State::Retrying(problem));
                let restart = move || SupervisorMessage::Restart(projection, job);
                supervisor.send_after(until.saturating_duration_since(now), restart);
            }
            RestartDecision::GiveUp { reason } => {
                error!(
                    view,
                    ?job,
                    reason,
                    "a projection failed too often and is stopped: fix the reason and resume it"
                );
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

/// Tells the supervisor to stop when the projections are stopped or their last handle is dropped.
fn forward_stop(mut stop: watch::Receiver<bool>, supervisor: ActorRef<SupervisorMessage>) {
    tokio::spawn(async move {
        let _is_told = stop.wait_for(|stop| *stop).await.is_ok();
        // The supervisor may have ended before.
        let _is_sent = supervisor.send_message(SupervisorMessage::Stop);
    });
}

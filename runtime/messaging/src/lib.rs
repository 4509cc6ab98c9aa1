//! The consumers of the log: what aggregates send each other, what they wait for, and what they do outside.
//!
//! The log is the queue. A *consumer* follows it and does a *job* for each event that it wants: `messages` delivers
//! what aggregates send, `operations` carries asynchronous commands out ([`Operation`]), a [`Reactor`] turns events into
//! commands, a [`Handler`] acts on the world outside, a publisher ([`Publish`]) passes stored events of any type on, and
//! `timers` fires the timers that aggregates set. A [`QueueStore`] has how far each consumer has come, and its
//! exceptions: jobs that wait for another attempt, jobs behind them, and dead letters. Commands reach aggregates
//! through a [`CommandBus`].
//!
//! [`consumer`] has the task that all consumers share. It owns what is in memory: [`watermarks`] (how far each shard
//! has come), the jobs by sequence, a [`breaker`]. Jobs run on the workers of a queue ([`worker_pool`]). [`timers`] has
//! the task that keeps and fires timers.
//!
//! Invariants: the jobs of one sequence (the events of one aggregate, for one consumer) run one after another, in
//! order. What is in memory is bounded by a page and a window of events, however far a consumer is behind. A delivered
//! command has a key that is derived from its event, so a repetition has no effect. Nothing is done before it is
//! durable in the log.

mod breaker;
mod bus;
mod consumer;
mod consumer_name;
mod event_names;
mod handler;
mod history;
mod limits;
mod messages;
mod messaging;
mod metric;
mod operations;
mod options;
mod panic;
mod publisher;
mod reactor;
mod start_error;
pub mod store;
mod timers;
mod watermarks;
mod worker_pool;

pub use bus::{CarriedOut, ClientCommand, CommandBus, Delivered, Delivery, Firing, Origin};
pub use consumer::{Begin, BreakerState, ConsumerState, ConsumerStatus, DeadPage, Order, RequestError};
pub use consumer_name::{ConsumerName, InvalidConsumerName};
pub use handler::{Failure, Handle, Handler, HandlerSources, Job, Retries, Sent};
pub use messaging::{Builder, ConsumerInfo, ConsumerKind, Messaging, QueueInfo};
pub use operations::{
    Condition, Ending, FinalRefusal, Operation, OperationCommand, OperationEvent, OperationRejection, OperationRequest,
    OperationStatus, RequestedCommand, Success,
};
pub use options::{Options, QueueOptions};
pub use publisher::Publish;
pub use reactor::{React, Reaction, Reactions, Reactor, ReactorSources};
pub use start_error::StartError;
pub use store::QueueStore;
pub use worker_pool::PoolLimits;

//! An application on Dormouse: its builder, its HTTP API, and its command line.
//!
//! An application defines [`Aggregate`]s, and [`Projection`]s of their events, and adds them to an [`App`].
//! [`App::run`] is then its whole `main`: it parses the command line (`cli`), loads the configuration, opens the
//! journal and the views, runs the engine and the projections (`read_side`), and serves the API (`http`) with its own
//! HTTP server (`server`). [`App::start`] does the same inside another program, such as a test or a benchmark, and
//! returns a [`Running`] application.
//!
//! Everything that is needed to write an aggregate or a projection is re-exported here. So an application depends on
//! this crate alone, besides `serde` and `schemars`, whose derives name their own crates. `examples/bank.rs` is a
//! complete application.

mod admin;
mod app;
mod audit;
mod background;
mod callers;
mod cli;
mod cloud_event;
mod command_bus;
#[cfg(feature = "demo")]
pub mod demo;
mod http;
mod messaging_side;
mod metric;
mod nats;
mod read_side;
mod running;
mod server;
mod telemetry;
mod webhooks;

pub use app::App;
pub use dormouse_config::{Config, JournalUrl};
pub use dormouse_engine::{DrainReport, Engine, Outcome};
pub use dormouse_kernel::{
    After, Aggregate, AggregateId, At, CatchUp, CodecError, Context, Cron, DomainEvent, Every, ExpectedTimer, Given,
    Message, Personal, RawEvent, Refusal, Rejection, Timestamp, Upcasters, Uuid, Version, When, caller_as_data_subject,
};
pub use dormouse_messaging::{
    Begin, Failure, Handle, Handler, HandlerSources, Job, Messaging, Order, Publish, React, Reactions, Reactor,
    ReactorSources, Retries, Sent,
};
pub use dormouse_projections::{
    Event, Fields, Given as GivenEvents, Key, Keys, Project, Projection, Projections, Sources, View,
};
pub use http::{Route, RouteAnswer, RouteError, RouteRequest};
pub use messaging_side::MessagingError;
pub use read_side::ViewsError;
pub use running::{Running, StartError};

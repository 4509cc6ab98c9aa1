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
mod background;
mod cli;
mod http;
mod metric;
mod read_side;
mod running;
mod server;
mod telemetry;

pub use app::App;
pub use dormouse_config::{Config, JournalUrl};
pub use dormouse_engine::{DrainReport, Engine};
pub use dormouse_kernel::{
    Aggregate, AggregateId, CodecError, Context, DomainEvent, Given, RawEvent, Rejection, Timestamp, Upcasters, Uuid,
    Version, When,
};
pub use dormouse_projections::{
    Event, Fields, Given as GivenEvents, Key, Keys, Project, Projection, Projections, Sources, View,
};
pub use read_side::ViewsError;
pub use running::{Running, StartError};

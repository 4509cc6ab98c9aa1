//! Connections to PostgreSQL, what its errors mean, and its replicas.

mod failure;
mod replicas;
mod schema;
mod server;
mod sessions;
mod settings;

pub use failure::Failure;
pub use replicas::{Replica, ReplicaProbe, ReplicaStatus, Replicas, identity};
pub use schema::Schema;
pub use server::{Purpose, Server};
pub use sessions::{QueryFuture, Session, Sessions};

//! Commerce from outside: the stored bytes of its events, its commands in JSON, and properties of all histories,
//! whatever the order of delivery is.

mod bus;
mod format;
mod json;
mod properties;
mod reservations;
#[path = "../support/stored.rs"]
mod stored;

//! Commerce from outside: the stored bytes of its events, its commands in JSON, and properties of all histories.

mod format;
mod json;
mod properties;

//! Commerce from outside: what its events look like at rest, its commands in JSON, and what holds whatever happens.

mod format;
mod json;
mod properties;

//! The read models of the domains that ship with Dormouse, each an example of how to write one.
//!
//! A domain is a module, as in `dormouse-aggregates`. Each view is a file: its documents, what lists can be sorted and
//! filtered by, what it makes of each event, and what its queries are called. Times in documents are [`Moment`]s.
//!
//! Invariant: pure, as projections are: what a document is follows from the events alone.

pub mod commerce;
mod moment;

pub use moment::Moment;

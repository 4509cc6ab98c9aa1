//! The views of the domains that ship with Dormouse. Each is an example of how to write a view.
//!
//! A domain is a module, as in `dormouse-aggregates`. Each view has a file with its document, the fields that lists can
//! be sorted and filtered by, what each event changes, and the names of its queries. Times in documents are
//! [`Moment`]s.
//!
//! Invariant: views are pure; a document follows from the events alone.

pub mod academy;
pub mod commerce;
pub mod hosting;
mod moment;

pub use moment::Moment;

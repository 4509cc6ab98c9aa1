//! How many instructions the steps of a command take, counted by valgrind's callgrind: unlike time, that hardly depends
//! on what else the machine does.
//!
//! A [`Subject`] is something the product does over and over. The program `dormouse-guards` does it so often, inside
//! [`measured_section`], and [`count`] runs that program under callgrind, which counts inside that function only, and
//! reads from its [`Profile`] what the whole took and what its [`Part`]s did. The test `instructions` holds the counts
//! against those in `instructions.toml`.

mod callgrind;
mod profile;
mod subject;

pub use callgrind::{Count, count};
pub use profile::{Calls, Function, Profile};
pub use subject::{Part, Prepared, Subject};

use std::pin::Pin;

use tokio::runtime::Runtime;

/// What is counted. It has a name to be found by in the program, so it must stay a function of its own.
#[inline(never)]
pub fn measured_section(
    runtime: &Runtime,
    work: Pin<Box<dyn Future<Output = anyhow::Result<()>> + '_>>,
) -> anyhow::Result<()> {
    runtime.block_on(work)
}

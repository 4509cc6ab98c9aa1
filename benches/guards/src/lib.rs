//! Counts the instructions of the steps of a command with valgrind's callgrind. Unlike time, instructions hardly depend
//! on what else the machine does.
//!
//! A [`Subject`] is an operation of the product. The program `dormouse-guards` repeats it inside [`measured_section`].
//! [`count`] runs that program under callgrind, which counts inside that function only, and reads the instructions of
//! the whole and of its [`Part`]s from the [`Profile`]. The test `instructions` compares the counts with those in
//! `instructions.toml`.

mod callgrind;
mod profile;
mod subject;

pub use callgrind::{Count, count};
pub use profile::{Calls, Function, Profile};
pub use subject::{Part, Prepared, Subject};

use std::pin::Pin;

use tokio::runtime::Runtime;

/// The section that is counted. Callgrind finds it by its name, so it must stay a separate function.
#[inline(never)]
pub fn measured_section(
    runtime: &Runtime,
    work: Pin<Box<dyn Future<Output = anyhow::Result<()>> + '_>>,
) -> anyhow::Result<()> {
    runtime.block_on(work)
}

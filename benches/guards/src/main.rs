//! `dormouse-guards <subject> <count>`: repeats an operation on one thread, for callgrind to count.

use clap::Parser;
use dormouse_guards::{Subject, measured_section};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The warm-up before the count: afterwards maps have grown, and everything exists that the first use creates.
const WARM_UP: usize = 256;

/// Repeats the operation of one guard.
#[derive(Parser)]
struct Arguments {
    #[arg(value_enum)]
    subject: Subject,
    count: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread, because the order of several threads differs each time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut prepared = runtime.block_on(arguments.subject.prepare(WARM_UP + arguments.count))?;
    runtime.block_on(prepared.run(WARM_UP))?;
    measured_section(&runtime, Box::pin(prepared.run(arguments.count)))
}

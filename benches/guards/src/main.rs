//! `dormouse-guards <subject> <count>`: does something so often, on one thread. Callgrind counts it.

use clap::Parser;
use dormouse_guards::{Subject, measured_section};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Before anything counts: maps have grown by then, and everything is there that the first use makes.
const WARM_UP: usize = 256;

/// Does what one of the guards counts.
#[derive(Parser)]
struct Arguments {
    #[arg(value_enum)]
    subject: Subject,
    count: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread: in which order several get on is different each time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut prepared = runtime.block_on(arguments.subject.prepare(WARM_UP + arguments.count))?;
    runtime.block_on(prepared.run(WARM_UP))?;
    measured_section(&runtime, Box::pin(prepared.run(arguments.count)))
}

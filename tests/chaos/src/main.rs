//! An application with an aggregate that misbehaves on request, and a shipped one that must not suffer from it.

mod chaos;
mod stories;

use std::process::ExitCode;

use dormouse::App;
use dormouse_aggregates::commerce::Inventory;

use crate::chaos::Chaos;
use crate::stories::Stories;

/// As in the binary `dormouse`: the allocator decides what happens to the memory of a large allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    App::new("dormouse-chaos").aggregate::<Chaos>().aggregate::<Inventory>().projection::<Stories>().run()
}

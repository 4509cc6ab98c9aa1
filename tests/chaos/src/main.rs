//! An application with one aggregate that misbehaves on request, beside one that ships: who suffers?

mod chaos;
mod stories;

use std::process::ExitCode;

use dormouse::App;
use dormouse_aggregates::commerce::Inventory;

use crate::chaos::Chaos;
use crate::stories::Stories;

/// As in the binary `dormouse`: what becomes of a large allocation is the allocator's doing, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    App::new("dormouse-chaos").aggregate::<Chaos>().aggregate::<Inventory>().projection::<Stories>().run()
}

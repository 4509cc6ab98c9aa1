//! `dormouse`: the domains that ship with Dormouse, as an application.

use std::process::ExitCode;

/// A command makes some dozens of small allocations on one thread and frees them on another; the system's allocator
/// spent a quarter of the server's time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dormouse::demo::app().run()
}

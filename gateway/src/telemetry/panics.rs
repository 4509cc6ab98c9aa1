//! Logs each panic as one event, because log collectors cannot read the lines that Rust prints.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

use tracing::error;

/// Logs every panic from now on.
pub(super) fn log() {
    panic::set_hook(Box::new(log_one));
}

fn log_one(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a value that is no text");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let current = thread::current();
    let thread = current.name().unwrap_or_default();
    // A backtrace is captured only if the environment asks for it (`RUST_BACKTRACE=1`).
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    error!(panic = message, location, thread, backtrace, "panic");
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_event_with_its_place_and_thread() {
        const THREAD: &str = "unlucky";
        // Panics of the other tests in this process must still reach the previous hook.
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some(THREAD) => log_one(info),
            _ => before(info),
        }));

        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(Mutex::new(lines)).finish();
        let unlucky = move || with_default(subscriber, || panic!("no {}\nat all", "luck"));
        thread::Builder::new().name(THREAD.to_owned()).spawn(unlucky).unwrap().join().unwrap_err();

        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&event["level"], &event["panic"]), (&"ERROR".into(), &"no luck\nat all".into()));
        assert_eq!(event["thread"], THREAD);
        assert!(event["location"].as_str().unwrap().contains("panics.rs:"), "{event}");
    }
}

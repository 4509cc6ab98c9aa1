//! The threads of a server, and how it goes on while domain code keeps some of them to itself.
//!
//! Tokio's workers take turns at whatever is ready, and cannot take a thread back from code that does not return. An
//! aggregate that loops while it decides would hold up others in three ways:
//!
//! - It leaves fewer workers. Types that have been slow decide elsewhere (`engine/src/aggregate/trust.rs`); for those
//!   that never were, there are at least [`WORKERS_MIN`].
//! - If its worker was the one that listened to the network, nobody does: the others were told to wait, and only work
//!   wakes them. The prompter gives them some.
//! - The task that its worker woke last is for that worker alone. An aggregate wakes its own callers and the writer of
//!   the journal, which it therefore hands on before it decides again (`trust.rs` too).

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// So many workers at least, however few the processors: all but one may be stuck at a time, and the rest is served.
/// More would cost throughput, because threads beyond the processors only take turns.
const WORKERS_MIN: NonZeroUsize = NonZeroUsize::new(4).expect("it is not zero");

/// So long may the network be without a listener. An idle server does not notice that it is looked at so often.
const PROMPTING: Duration = Duration::from_millis(10);

/// The threads that everything runs on.
pub(super) struct Threads {
    runtime: Runtime,
    prompter: Prompter,
}

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().unwrap_or(WORKERS_MIN);
        let workers = processors.max(WORKERS_MIN).get();
        let runtime = Builder::new_multi_thread().worker_threads(workers).thread_name("worker").enable_all().build()?;
        let prompter = Prompter::start(runtime.handle().clone())?;
        Ok(Self { runtime, prompter })
    }

    /// Runs the future, and everything it spawns meanwhile.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Ends them all; what is still running on them gets so long.
    pub(super) fn shut_down(self, leftovers: Duration) {
        self.prompter.stop();
        self.runtime.shutdown_timeout(leftovers);
    }
}

/// Sees to it that some worker listens to the network. A worker goes back to listening when it has run out of work, so
/// a little work for one that waits is all it takes.
struct Prompter {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Prompter {
    fn start(runtime: Handle) -> io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let prompt = move || {
            while !seen.load(Ordering::Relaxed) {
                thread::sleep(PROMPTING);
                // If all of them wait, one of them listens.
                if any_is_at_work(&runtime) {
                    runtime.spawn(async {});
                }
            }
        };
        let thread = thread::Builder::new().name("prompter".to_owned()).spawn(prompt)?;
        Ok(Self { stopped, thread })
    }

    fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        // It has nothing to panic over, and nothing to lose.
        let _ended = self.thread.join();
    }
}

fn any_is_at_work(runtime: &Handle) -> bool {
    let metrics = runtime.metrics();
    // Counted when it begins to wait, and again when it is done with that.
    (0..metrics.num_workers()).any(|worker| metrics.worker_park_unpark_count(worker).is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn the_network_has_a_listener_while_workers_are_stuck() {
        let threads = Threads::start().unwrap();
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        threads.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // Woken by the network, so it is the worker that listens which gets stuck: each time another one.
            let accepting = tokio::spawn(async move {
                for _ in 1..WORKERS_MIN.get() {
                    let stuck = listener.accept().await.unwrap();
                    let released = Arc::clone(&released);
                    tokio::spawn(async move {
                        // Returns when the sender goes.
                        let _released = released.lock().unwrap().recv();
                        drop(stuck);
                    });
                }
                listener.accept().await.unwrap();
            });
            let clients = thread::spawn(move || {
                (0..WORKERS_MIN.get()).for_each(|_| {
                    std::net::TcpStream::connect(address).unwrap();
                    thread::sleep(PROMPTING * 3);
                });
            });
            tokio::time::timeout(SOON, accepting).await.expect("somebody listens").unwrap();
            clients.join().unwrap();
        });
        drop(release);
        threads.shut_down(SOON);
    }
}

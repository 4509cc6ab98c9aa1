//! The threads of a server, and how it goes on while domain code keeps some of them to itself.
//!
//! Tokio's workers take turns at whatever is ready, and cannot take a thread back from code that does not return. An
//! aggregate that loops while it decides would hold up others in three ways:
//!
//! - It leaves fewer workers. Types that have been slow decide elsewhere (`engine/src/aggregate/trust.rs`); for those
//!   that never were, there are [`WORKERS_MIN`]. Those beyond the processors wait in [`Reserve`] until they are needed.
//! - If its worker was the one that listened to the network, nobody does: the others were told to wait, and only work
//!   wakes them. The [`Watch`] gives them some.
//! - The task that its worker woke last is for that worker alone. An aggregate wakes its own callers and the writer of
//!   the journal, which it therefore hands on before it decides again (`trust.rs` too).

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

/// So many workers at least, however few the processors: all but one may be stuck at a time, and the rest is served.
const WORKERS_MIN: NonZeroUsize = NonZeroUsize::new(4).expect("it is not zero");

/// So many of them work at any time, even on a single processor: one that is stuck for a moment stops nothing.
const ALWAYS_AT_WORK: usize = 2;

/// So long may the network be without a listener. An idle server does not notice that it is looked at so often.
const PROMPTING: Duration = Duration::from_millis(10);

/// Workers that have looked at nothing new for so long are stuck: it is a hundred times what the usual task takes, and
/// more than the system takes to give a thread its turn.
const STUCK: Duration = Duration::from_millis(30);

/// The reserve works for so long at least once it was called. If the others are still stuck then, everybody waits for
/// [`STUCK`] once more.
const CALLED_FOR: Duration = Duration::from_secs(2);

/// The threads that everything runs on.
pub(super) struct Threads {
    // It ends first: a runtime does not end while its workers are held in reserve.
    watch: Watch,
    runtime: Runtime,
}

impl Threads {
    pub(super) fn start() -> io::Result<Self> {
        let processors = thread::available_parallelism().unwrap_or(WORKERS_MIN);
        let workers = processors.max(WORKERS_MIN).get();
        let runtime = Builder::new_multi_thread().worker_threads(workers).thread_name("worker").enable_all().build()?;
        let watch = Watch::start(runtime.handle().clone(), workers - processors.get().max(ALWAYS_AT_WORK))?;
        Ok(Self { watch, runtime })
    }

    /// Runs the future, and everything it spawns meanwhile.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Ends them all; what is still running on them gets so long.
    pub(super) fn shut_down(self, leftovers: Duration) {
        drop(self.watch);
        self.runtime.shutdown_timeout(leftovers);
    }
}

/// Workers that are kept waiting. Threads beyond the processors only take turns with the others, which costs a tenth of
/// the throughput.
#[derive(Default)]
struct Reserve {
    state: Mutex<ReserveState>,
    called: Condvar,
}

#[derive(Default)]
struct ReserveState {
    /// How often the reserve was formed, and which of these times it was called.
    formed: u64,
    called: u64,
    waiting: usize,
}

impl Reserve {
    /// Has so many workers wait until they are called.
    fn form(self: &Arc<Self>, runtime: &Handle, workers: usize) {
        let formed = {
            let mut state = self.state();
            state.formed += 1;
            state.formed
        };
        for _ in 0..workers {
            let reserve = Arc::clone(self);
            // It blocks whichever worker comes to it, which is what it is for.
            runtime.spawn(async move { reserve.wait(formed) });
        }
    }

    /// Lets them work.
    fn call(&self) {
        let mut state = self.state();
        state.called = state.formed;
        self.called.notify_all();
    }

    fn wait(&self, formed: u64) {
        let mut state = self.state();
        state.waiting += 1;
        while state.called < formed {
            state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.state().waiting
    }

    fn state(&self) -> MutexGuard<'_, ReserveState> {
        // Nobody panics while they hold it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to it that some worker listens to the network, and calls the reserve if all others are stuck. A worker goes back
/// to listening when it has run out of work, so a little work for one that waits is all it takes; and if nobody comes to
/// do that work, all of them are stuck.
struct Watch {
    reserve: Arc<Reserve>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(runtime: Handle, in_reserve: usize) -> io::Result<Self> {
        let reserve = Arc::new(Reserve::default());
        reserve.form(&runtime, in_reserve);
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, called) = (Arc::clone(&ended), Arc::clone(&reserve));
        let watch = move || {
            let mut prompt = Prompt::default();
            let mut called_at = None::<Instant>;
            while !seen.load(Ordering::Relaxed) {
                thread::sleep(PROMPTING);
                if prompt.waits_for() >= STUCK && called_at.is_none() {
                    called.call();
                    called_at = Some(Instant::now());
                }
                if called_at.is_some_and(|at| at.elapsed() >= CALLED_FOR) {
                    called.form(&runtime, in_reserve);
                    called_at = None;
                }
                // If all of them wait, one of them listens. But one in reserve may have taken tasks along, which only
                // somebody who looks for work finds.
                if prompt.was_seen() && (in_reserve > 0 || workers_at_work(&runtime) > 0) {
                    prompt = Prompt::give(&runtime);
                }
            }
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(watch)?;
        Ok(Self { reserve, ended, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It has nothing to panic over, and nothing to lose.
        let _ended = self.thread.take().map(JoinHandle::join);
        self.reserve.call();
    }
}

/// A little work for whichever worker comes first.
struct Prompt {
    given: Instant,
    seen: Arc<AtomicBool>,
}

impl Default for Prompt {
    /// None was given yet, so none waits.
    fn default() -> Self {
        Self { given: Instant::now(), seen: Arc::new(AtomicBool::new(true)) }
    }
}

impl Prompt {
    fn give(runtime: &Handle) -> Self {
        let prompt = Self { given: Instant::now(), seen: Arc::default() };
        let seen = Arc::clone(&prompt.seen);
        runtime.spawn(async move { seen.store(true, Ordering::Relaxed) });
        prompt
    }

    fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// For how long nobody has seen it.
    fn waits_for(&self) -> Duration {
        if self.was_seen() { Duration::ZERO } else { self.given.elapsed() }
    }
}

fn workers_at_work(runtime: &Handle) -> usize {
    let metrics = runtime.metrics();
    // Counted when it begins to wait, and again when it is done with that.
    let is_at_work = |worker: &usize| metrics.worker_park_unpark_count(*worker).is_multiple_of(2);
    (0..metrics.num_workers()).filter(is_at_work).count()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn eventually(is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < SOON, "it does not come to that");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn the_reserve_is_called_when_all_others_are_stuck_and_formed_again() {
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let watch = Watch::start(runtime.handle().clone(), 2).unwrap();
        eventually(|| watch.reserve.waiting() == 2);
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        for _ in 0..2 {
            let released = Arc::clone(&released);
            runtime.spawn(async move {
                let _released = released.lock().unwrap().recv();
            });
        }
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move { tell.send("served").unwrap() });
        assert_eq!(told.recv_timeout(SOON), Ok("served"));
        drop(release);
        eventually(|| watch.reserve.waiting() == 2);
        drop(watch);
        runtime.shutdown_timeout(SOON);
    }

    #[test]
    fn an_idle_server_has_its_reserve_and_nobody_at_work() {
        let threads = Threads::start().unwrap();
        let in_reserve = WORKERS_MIN.get().saturating_sub(
            thread::available_parallelism().map_or(WORKERS_MIN.get(), NonZeroUsize::get).max(ALWAYS_AT_WORK),
        );
        let runtime = threads.runtime.handle().clone();
        eventually(|| threads.watch.reserve.waiting() == in_reserve && workers_at_work(&runtime) == in_reserve);
        threads.shut_down(SOON);
    }

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

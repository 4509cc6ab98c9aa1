//! Yielding to the tasks that are ready to run.

use std::future::poll_fn;
use std::task::Poll;

/// Lets the tasks run first that are ready to run and wait for the same thread.
///
/// [`tokio::task::yield_now`] would resume the caller only when this very thread polls the network again. If one of the
/// other tasks never returns the thread (domain code that loops), no other thread could take the caller over.
pub async fn yield_to_ready_tasks() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

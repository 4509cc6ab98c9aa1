//! Letting others go first.

use std::future::poll_fn;
use std::task::Poll;

/// Goes on once the tasks that are ready to run, and wait for the same thread, have had their turn.
///
/// Not [`tokio::task::yield_now`]: that waits until this very thread comes to look at the network again. Should one of
/// those tasks keep it (domain code that loops), nobody else could take this one over.
pub async fn let_others_go_first() {
    let mut have_gone = false;
    poll_fn(|context| {
        if have_gone {
            return Poll::Ready(());
        }
        have_gone = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

//! Append sessions: no append builds on one that failed.

use std::sync::Arc;

use dormouse_faults::{Fault, Faulty};
use dormouse_journal::{Append, AppendError, AppendSession, Committed, Journal, PredecessorFailed, Submission};
use dormouse_kernel::{Uuid, Version};
use tokio::sync::mpsc;

use crate::support::{History, Place, start, submit, whole_history};

on_every_store! {
    everything_after_a_failed_append_is_refused,
    appends_before_a_failed_append_are_committed,
    a_failed_commit_breaks_its_append_sessions,
    an_append_session_knows_what_is_durable,
    barriers_are_answered_in_order,
    other_append_sessions_are_not_affected,
}

/// An answer of the writer.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Append(&'static str, Result<Committed, AppendError>),
    Barrier(&'static str, Result<(), PredecessorFailed>),
}

struct OnSession {
    journal: Journal,
    session: Arc<AppendSession>,
    answers: mpsc::UnboundedReceiver<Answer>,
    answer: mpsc::UnboundedSender<Answer>,
}

impl OnSession {
    fn new(journal: &Journal) -> Self {
        let (answer, answers) = mpsc::unbounded_channel();
        Self { journal: journal.clone(), session: Arc::new(AppendSession::new(Version::ZERO)), answers, answer }
    }

    async fn append(&self, name: &'static str, append: Append) {
        let answer = self.answer.clone();
        let answer = move |outcome| answer.send(Answer::Append(name, outcome)).unwrap();
        self.journal.submit(Submission::append(append, Some(Arc::clone(&self.session)), answer)).await;
    }

    async fn barrier(&self, name: &'static str) {
        let answer = self.answer.clone();
        let answer = move |outcome| answer.send(Answer::Barrier(name, outcome)).unwrap();
        self.journal.submit(Submission::barrier(Some(Arc::clone(&self.session)), answer)).await;
    }

    async fn answers(&mut self, count: usize) -> Vec<Answer> {
        let mut answers = Vec::new();
        while answers.len() < count {
            answers.push(self.answers.recv().await.unwrap());
        }
        answers
    }

    /// The names whose answer was success.
    async fn successes(&mut self, count: usize) -> Vec<&'static str> {
        let answers = self.answers(count).await;
        let successes = answers.into_iter().filter_map(|answer| match answer {
            Answer::Append(name, Ok(_)) | Answer::Barrier(name, Ok(())) => Some(name),
            _ => None,
        });
        successes.collect()
    }
}

/// Holds up the writer with the commit of another append, so that the submissions make one batch.
async fn in_one_batch(store: &Faulty, journal: &Journal, submissions: impl AsyncFnOnce()) {
    let held = store.hold_commits();
    let plug = submit(journal, History::of(&Uuid::new_v4().to_string()).next(1)).await;
    store.commit_arrives().await;
    submissions().await;
    drop(held);
    plug.await.unwrap().unwrap();
}

async fn everything_after_a_failed_append_is_refused(place: Place) {
    let journal = place.journal().await;
    let mut session = OnSession::new(&journal);
    let mut account = History::of("a");
    journal.append(account.clone().next(1)).await.unwrap();
    for name in ["first", "second", "third"] {
        session.append(name, account.next(1)).await;
        session.barrier(name).await;
    }
    let answers = session.answers(6).await;
    let conflict = AppendError::VersionConflict { expected: Version(0), actual: Version(1) };
    assert!(answers.contains(&Answer::Append("first", Err(conflict))));
    for behind in ["second", "third"] {
        assert!(answers.contains(&Answer::Append(behind, Err(AppendError::PredecessorFailed))), "{answers:?}");
    }
    assert!(
        ["first", "second", "third"]
            .iter()
            .all(|name| answers.contains(&Answer::Barrier(name, Err(PredecessorFailed))))
    );
    assert!(session.session.is_broken());
    // Also an append that the journal would take.
    session.append("fitting", History::of("b").next(1)).await;
    assert_eq!(session.answers(1).await, [Answer::Append("fitting", Err(AppendError::PredecessorFailed))]);
    assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 1);
}

async fn appends_before_a_failed_append_are_committed(place: Place) {
    let store = Faulty::over(place.store().await);
    let journal = start(store.clone()).await;
    let wrong_size = History::of("a").next(0);
    let mut ahead = History::of("a");
    ahead.next(9);
    let conflict = ahead.next(1);
    for (id, failing) in [("wrong size", wrong_size), ("conflict", conflict)] {
        let mut session = OnSession::new(&journal);
        let mut account = History::of(id);
        in_one_batch(&store, &journal, async || {
            session.append("before", account.next(1)).await;
            session.barrier("seen before").await;
            session.append("failing", failing).await;
            session.append("behind", account.next(1)).await;
            session.barrier("seen behind").await;
        })
        .await;
        assert_eq!(session.successes(5).await, ["before", "seen before"], "{id}");
        assert_eq!(whole_history(&journal, &account.aggregate).await.len(), 1);
    }
}

async fn a_failed_commit_breaks_its_append_sessions(place: Place) {
    let store = Faulty::over(place.store().await);
    let journal = start(store.clone()).await;
    let mut session = OnSession::new(&journal);
    let mut account = History::of("a");
    store.script([Fault::Refused]);
    session.barrier("seen before").await;
    session.append("refused", account.next(1)).await;
    session.append("behind", account.next(1)).await;
    session.barrier("seen behind").await;
    assert_eq!(session.successes(4).await, ["seen before"]);
    assert_eq!(whole_history(&journal, &account.aggregate).await, []);
}

async fn an_append_session_knows_what_is_durable(place: Place) {
    let journal = place.journal().await;
    let mut session = OnSession::new(&journal);
    let mut account = History::of("a");
    for durable in [3, 6, 9] {
        session.append("more", account.next(3)).await;
        session.answers(1).await;
        assert_eq!(session.session.durable(), Version(durable));
    }
    assert!(!session.session.is_broken());
}

async fn barriers_are_answered_in_order(place: Place) {
    let journal = place.journal().await;
    let mut session = OnSession::new(&journal);
    let mut account = History::of("a");
    for _ in 0..50 {
        session.append("append", account.next(1)).await;
        session.barrier("barrier").await;
    }
    assert_eq!(session.successes(100).await, ["append", "barrier"].repeat(50));
    journal.flush().await;
}

async fn other_append_sessions_are_not_affected(place: Place) {
    let journal = place.journal().await;
    let (mut broken, mut other) = (OnSession::new(&journal), OnSession::new(&journal));
    let mut account = History::of("a");
    broken.append("failing", History::of("b").next(0)).await;
    other.append("append", account.next(1)).await;
    other.barrier("barrier").await;
    assert_eq!(broken.successes(1).await, [""; 0]);
    assert_eq!(other.successes(2).await, ["append", "barrier"]);
}

//! How a session carries out what operators ask.

use super::Session;
use crate::consumer::requests::{DeadPage, Request, RequestError};
use crate::store::{Error, JobId, JobRow, JobState, JobStateName};

impl Session {
    /// Carries out a request. An error of the store ends the session; whoever asked is told as well.
    pub(super) async fn request(&mut self, request: Request) -> Result<(), Error> {
        match request {
            Request::Retry(id, answer) => tell(answer, self.retry(id).await),
            Request::Skip(id, answer) => tell(answer, self.skip(id).await),
            Request::RetryDead(after, limit, answer) => tell(answer, self.retry_dead(after, limit).await),
            Request::SkipDead(after, limit, answer) => tell(answer, self.skip_dead(after, limit).await),
            Request::JobsAdded(count) => {
                self.holding_rows += count;
                self.next_due = Some(self.shared.clock.now());
                Ok(())
            }
        }
    }

    async fn retry(&mut self, id: JobId) -> Result<(), RequestError> {
        self.commit_all(false).await?;
        let row = self.shared.store.job(&self.consumer.name, id).await?.ok_or(RequestError::NoJob)?;
        if row.state != JobState::Dead {
            return Err(RequestError::WrongState { state: state_name(row.state), what: "retried" });
        }
        self.revive(row);
        Ok(self.commit_all(false).await?)
    }

    async fn retry_dead(&mut self, after: Option<JobId>, limit: usize) -> Result<DeadPage, RequestError> {
        let dead = self.dead(after, limit).await?;
        let page = page_of(&dead);
        dead.into_iter().for_each(|row| self.revive(row));
        self.commit_all(false).await?;
        Ok(page)
    }

    /// Makes a dead letter wait for its next attempt, with all of its tries.
    fn revive(&mut self, mut row: JobRow) {
        let now = self.shared.clock.now();
        let failed = u32::try_from(row.attempts.len()).unwrap_or(u32::MAX);
        row.attempts_allowed = failed.saturating_add(self.consumer.settings.tries);
        row.state = JobState::Waiting { due: now };
        self.next_due = Some(self.next_due.map_or(now, |next| next.min(now)));
        self.holding_rows += u64::from(!self.is_ordered());
        self.changes.put.push(row);
    }

    async fn skip(&mut self, id: JobId) -> Result<(), RequestError> {
        self.commit_all(false).await?;
        let row = self.shared.store.job(&self.consumer.name, id).await?.ok_or(RequestError::NoJob)?;
        let is_first = !row.attempts.is_empty() && !self.sequences.is_held(&row.sequence);
        if row.state != JobState::Dead && !(is_first && self.consumer.work.may_be_skipped_early()) {
            return Err(RequestError::WrongState { state: state_name(row.state), what: "skipped" });
        }
        self.give_up(&row).await?;
        Ok(self.commit_all(false).await?)
    }

    async fn skip_dead(&mut self, after: Option<JobId>, limit: usize) -> Result<DeadPage, RequestError> {
        let dead = self.dead(after, limit).await?;
        for row in &dead {
            self.give_up(row).await?;
        }
        self.commit_all(false).await?;
        Ok(page_of(&dead))
    }

    /// Removes a job. If others wait behind it, the first of them goes on.
    async fn give_up(&mut self, row: &JobRow) -> Result<(), Error> {
        let held_its_sequence = row.state != JobState::Dead || self.is_ordered();
        self.changes.remove.push(row.id);
        if held_its_sequence {
            self.holding_rows = self.holding_rows.saturating_sub(1);
            if let Some(next) = self.next_jobs(&row.sequence, Some(row.id)).await?.into_iter().next() {
                let now = self.shared.clock.now();
                self.next_due = Some(self.next_due.map_or(now, |due| due.min(now)));
                self.promote(next);
            }
        }
        Ok(())
    }

    async fn dead(&mut self, after: Option<JobId>, limit: usize) -> Result<Vec<JobRow>, Error> {
        self.commit_all(false).await?;
        self.shared.store.jobs(&self.consumer.name, JobStateName::Dead, after, limit).await
    }
}

fn page_of(dead: &[JobRow]) -> DeadPage {
    DeadPage { count: dead.len(), last: dead.last().map(|row| row.id) }
}

const fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Waiting { .. } => "waiting for its next attempt",
        JobState::Blocked => "waiting behind another job",
        JobState::Dead => "a dead letter",
    }
}

/// Answers whoever asked, and returns the error that ends the session.
fn tell<T>(
    answer: tokio::sync::oneshot::Sender<Result<T, RequestError>>,
    result: Result<T, RequestError>,
) -> Result<(), Error> {
    let broken = match &result {
        Err(RequestError::Store(error)) => Err(error.clone()),
        _ => Ok(()),
    };
    // Whoever asked may have gone.
    let _gone = answer.send(result);
    broken
}

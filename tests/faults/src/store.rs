//! The calls of the store.

use std::time::Duration;

use async_trait::async_trait;
use dormouse_journal::store::{Connections, Ownership, Placed};
use dormouse_journal::{AsOf, CommitError, LogFilter, Page, PageLimit, Snapshot, Store, StoreError};
use dormouse_kernel::{AggregateId, AggregateRef, AggregateType, CommandKey, Epoch, Position, Version};

use crate::fault::Fault;
use crate::faulty::{Faulty, give_way, wait};
use crate::plan::Call;

#[async_trait]
impl Store for Faulty {
    async fn acquire(&self, previous: Option<Epoch>) -> Result<Ownership, StoreError> {
        self.disturb(Call::Acquire).await?;
        if self.acquisition_fails() {
            return Err(StoreError::Unavailable("it is still down".to_owned()));
        }
        self.inner.acquire(previous).await
    }

    async fn commit(&self, epoch: Epoch, batch: &[Placed]) -> Result<(), CommitError> {
        self.arrives();
        let slowness = self.instructions().slowness;
        wait(slowness).await;
        self.commit_gate.pass().await;
        let (turns, fault) = self.next_fault(batch);
        give_way(turns).await;
        if !matches!(fault, Fault::Lost { .. }) {
            self.answers().map_err(|error| CommitError::Refused(error.to_string()))?;
        }
        let (before, after) = match fault {
            Fault::Slow { before, after } => (before, after),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        wait(before).await;
        match fault {
            Fault::Refused => return Err(CommitError::Refused("it will not".to_owned())),
            Fault::Panic => panic!("the writer breaks"),
            Fault::Torn(tear) => {
                let written = tear.of(batch);
                if !written.is_empty() {
                    // No caller learns whether this succeeds.
                    let _lost = self.inner.commit(epoch, &written).await;
                }
                self.crash();
                return Err(CommitError::Unknown("it went down".to_owned()));
            }
            Fault::Lost { committed: false } | Fault::TakenOver { committed: false } => {}
            Fault::None | Fault::Slow { .. } | Fault::Lost { .. } | Fault::TakenOver { .. } => {
                self.inner.commit(epoch, batch).await?;
                self.record().batches.push(batch.len());
            }
        }
        wait(after).await;
        if let Fault::TakenOver { .. } = fault {
            self.inner.acquire(None).await.map_err(|error| CommitError::Unknown(error.to_string()))?;
        }
        match fault {
            Fault::Lost { .. } | Fault::TakenOver { .. } => Err(CommitError::Unknown("the answer was lost".to_owned())),
            _ => Ok(()),
        }
    }

    async fn versions(&self, aggregates: &[AggregateRef]) -> Result<Vec<Version>, StoreError> {
        self.disturb(Call::Versions).await?;
        self.inner.versions(aggregates).await
    }

    async fn find_command(&self, aggregate: &AggregateRef, key: &CommandKey) -> Result<Option<Version>, StoreError> {
        self.disturb(Call::FindCommand).await?;
        self.record().look_ups += 1;
        self.inner.find_command(aggregate, key).await
    }

    async fn read_aggregate(
        &self,
        aggregate: &AggregateRef,
        after: Version,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.read_gate.pass().await;
        self.disturb(Call::ReadAggregate).await?;
        self.saw_read(aggregate.id.as_str(), after);
        self.inner.read_aggregate(aggregate, after, limit).await
    }

    async fn read_log(&self, after: Position, limit: PageLimit) -> Result<Page, StoreError> {
        self.disturb(Call::ReadLog).await?;
        self.inner.read_log(after, limit).await
    }

    async fn select_log(
        &self,
        after: Position,
        until: Position,
        filter: &LogFilter,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.disturb(Call::ReadLog).await?;
        self.inner.select_log(after, until, filter, limit).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.ping_gate.pass().await;
        self.disturb(Call::Head).await?;
        self.inner.head().await
    }

    async fn epoch(&self) -> Result<Epoch, StoreError> {
        self.disturb(Call::Epoch).await?;
        self.inner.epoch().await
    }

    async fn save_snapshots(&self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.disturb(Call::SaveSnapshots).await?;
        for snapshot in snapshots {
            let (aggregate, version) = (&snapshot.aggregate, snapshot.version);
            let durable = self.inner.versions(std::slice::from_ref(aggregate)).await?;
            let ahead = durable.first().is_none_or(|durable| version > *durable);
            let mut record = self.record();
            if ahead {
                let violation = format!("{aggregate} was snapshotted at {version}, but only {durable:?} is durable");
                record.violations.push(violation);
            }
            record.snapshots.push((aggregate.id.as_str().to_owned(), version));
        }
        self.inner.save_snapshots(snapshots).await
    }

    async fn snapshot(&self, aggregate: &AggregateRef, as_of: AsOf) -> Result<Option<Snapshot>, StoreError> {
        self.disturb(Call::Snapshot).await?;
        let mut found = self.inner.snapshot(aggregate, as_of).await?;
        if let (Some(snapshot), Some(tamper)) = (&mut found, &self.instructions().tamper) {
            tamper(snapshot);
        }
        Ok(found)
    }

    async fn snapshotted(
        &self,
        aggregate_type: &AggregateType,
        after: Option<&AggregateId>,
        limit: usize,
    ) -> Result<Vec<AggregateId>, StoreError> {
        self.disturb(Call::Snapshot).await?;
        self.inner.snapshotted(aggregate_type, after, limit).await
    }

    async fn count_snapshotted(&self, aggregate_type: &AggregateType) -> Result<u64, StoreError> {
        self.disturb(Call::Snapshot).await?;
        self.inner.count_snapshotted(aggregate_type).await
    }

    fn connections(&self) -> Connections {
        self.inner.connections()
    }

    async fn close(&self) {
        if !self.stays_open {
            self.inner.close().await;
        }
    }
}

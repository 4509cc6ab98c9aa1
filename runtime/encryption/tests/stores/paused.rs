//! A store that stops after it has read or destroyed something, and before it says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use dormouse_encryption::store::{DestroyedKey, Error, KeyCounts, LiveKey, StoredKey};
use dormouse_encryption::{DataKeys, KeyId, KeyStore, Options, SubjectHash, Wrapped, WrappingKeyFile, WrappingKeyId};
use dormouse_kernel::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::support::Place;

#[derive(Debug)]
pub(crate) struct Paused {
    inner: Arc<dyn KeyStore>,
    is_paused: watch::Sender<bool>,
    pauses_destroying: AtomicBool,
    read: Semaphore,
    destroyed: Semaphore,
}

impl Paused {
    pub(crate) fn new(inner: Arc<dyn KeyStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            is_paused: watch::Sender::new(false),
            pauses_destroying: AtomicBool::new(false),
            read: Semaphore::new(0),
            destroyed: Semaphore::new(0),
        })
    }

    pub(crate) async fn keys(self: &Arc<Self>, place: &Place) -> DataKeys {
        let store: Arc<dyn KeyStore> = Arc::<Self>::clone(self);
        let wrapping = Arc::new(WrappingKeyFile::open(&place.wrapping_path()).unwrap());
        let keys = DataKeys::open(store, wrapping, Options::default()).await.unwrap();
        self.read.forget_permits(usize::MAX);
        keys
    }

    pub(crate) fn pause(&self) {
        self.is_paused.send_replace(true);
    }

    pub(crate) fn pause_destroying(&self) {
        self.pauses_destroying.store(true, Ordering::SeqCst);
        self.pause();
    }

    pub(crate) fn go_on(&self) {
        self.is_paused.send_replace(false);
    }

    pub(crate) async fn wait_until_something_was_read(&self) {
        self.read.acquire().await.unwrap().forget();
    }

    pub(crate) async fn wait_until_something_was_destroyed(&self) {
        self.destroyed.acquire().await.unwrap().forget();
    }

    async fn stop(&self) {
        self.is_paused.subscribe().wait_for(|is_paused| !is_paused).await.unwrap();
    }
}

#[async_trait]
impl KeyStore for Paused {
    async fn get(&self, ids: &[KeyId]) -> Result<Vec<StoredKey>, Error> {
        let found = self.inner.get(ids).await;
        self.read.add_permits(1);
        self.stop().await;
        found
    }

    async fn find(&self, subject: SubjectHash) -> Result<Option<LiveKey>, Error> {
        let found = self.inner.find(subject).await;
        self.read.add_permits(1);
        self.stop().await;
        found
    }

    async fn create(&self, key: &LiveKey) -> Result<LiveKey, Error> {
        self.inner.create(key).await
    }

    async fn destroy(&self, subject: SubjectHash, now: Timestamp) -> Result<Vec<DestroyedKey>, Error> {
        let destroyed = self.inner.destroy(subject, now).await;
        self.destroyed.add_permits(1);
        if self.pauses_destroying.load(Ordering::SeqCst) {
            self.stop().await;
        }
        destroyed
    }

    async fn wrapped_by_others(
        &self,
        current: &WrappingKeyId,
        after: Option<KeyId>,
        limit: usize,
    ) -> Result<Vec<LiveKey>, Error> {
        self.inner.wrapped_by_others(current, after, limit).await
    }

    async fn rewrap(&self, id: KeyId, from: &Wrapped, to: &Wrapped) -> Result<bool, Error> {
        self.inner.rewrap(id, from, to).await
    }

    async fn counts(&self) -> Result<KeyCounts, Error> {
        self.inner.counts().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

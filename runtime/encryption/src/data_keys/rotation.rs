//! Wraps all data keys with the current wrapping key, while they are in use.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tracing::info;

use super::{Error, rewrapped};
use crate::limits::{KEYS_PER_ROTATION_PAGE, ROTATION_PASSES, UNWRAPPED_AT_ONCE};
use crate::store::KeyStore;
use crate::wrapping::WrapKeys;

/// How far a rotation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationProgress {
    /// Keys that were looked at.
    pub done: u64,
    /// Keys that had to be looked at when the rotation began. New ones may come.
    pub total: u64,
}

/// What a rotation has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Keys that it wrapped with the current wrapping key.
    pub rewrapped: u64,
    /// Keys that another wrapping key has still wrapped, because another process still wraps with it.
    pub remaining: u64,
}

pub(super) async fn rotate(
    store: &dyn KeyStore,
    wrapping: &dyn WrapKeys,
    mut progress: impl FnMut(RotationProgress) + Send,
) -> Result<Rotated, Error> {
    let mut bar = RotationProgress { done: 0, total: remaining(store, wrapping).await? };
    let mut rotated = Rotated { rewrapped: 0, remaining: bar.total };
    progress(bar);
    for _ in 0..ROTATION_PASSES {
        if rotated.remaining == 0 {
            break;
        }
        let mut after = None;
        loop {
            let page = store.wrapped_by_others(&wrapping.current(), after, KEYS_PER_ROTATION_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            bar.done += page.len() as u64;
            bar.total = bar.total.max(bar.done);
            let rewraps = stream::iter(page).map(|key| async move {
                let wrapped = rewrapped(wrapping, &key).await?;
                // If it was destroyed or rewrapped meanwhile, it stays so.
                Ok::<bool, Error>(store.rewrap(key.id, &key.wrapped, &wrapped).await?)
            });
            let done: Vec<bool> = rewraps.buffer_unordered(UNWRAPPED_AT_ONCE).try_collect().await?;
            rotated.rewrapped += done.iter().filter(|done| **done).count() as u64;
            progress(bar);
        }
        rotated.remaining = remaining(store, wrapping).await?;
    }
    info!(
        wrapping_key = %wrapping.current(), rewrapped = rotated.rewrapped, remaining = rotated.remaining,
        "the data keys were wrapped anew"
    );
    Ok(rotated)
}

/// How many keys another wrapping key has wrapped.
async fn remaining(store: &dyn KeyStore, wrapping: &dyn WrapKeys) -> Result<u64, Error> {
    let current = wrapping.current();
    let counts = store.counts().await?.live;
    Ok(counts.into_iter().filter(|(by, _)| *by != current).map(|(_, count)| count).sum())
}

//! Opens payloads whose keys may have to be loaded first.

use std::collections::BTreeSet;

use super::{DataKeys, Error};
use crate::binding::Binding;
use crate::error::OpenError;
use crate::fields::{self, Opened, key_ids};
use crate::keyring::Keyring;

/// A MessagePack payload, and where it belongs.
#[derive(Debug)]
pub struct Sealed<'a> {
    /// The payload, which may be sealed or have sealed values.
    pub payload: &'a mut Vec<u8>,
    /// What it was sealed for.
    pub binding: Binding<'a>,
}

/// Why payloads could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFailure {
    /// The keys could not be loaded.
    #[error(transparent)]
    Keys(#[from] Error),
    /// One of the payloads cannot be opened, whatever is loaded.
    #[error("{reason}")]
    Payload {
        /// Its place among the payloads.
        index: usize,
        /// Why.
        reason: OpenError,
    },
}

impl DataKeys {
    /// Opens payloads, and loads the keys of all of them together. Payloads without sealed values stay as they are.
    /// After an error some are opened and others are not.
    ///
    /// # Errors
    /// If the keys cannot be loaded, or if a payload cannot be opened.
    pub async fn unseal(&self, mut payloads: Vec<Sealed<'_>>) -> Result<Opened, OpenFailure> {
        let failed = |index| move |reason| OpenFailure::Payload { index, reason };
        let (mut wanted, mut asked) = (BTreeSet::new(), BTreeSet::new());
        let mut open: Vec<usize> = Vec::new();
        for (index, sealed) in payloads.iter().enumerate() {
            let ids = key_ids(sealed.payload).map_err(failed(index))?;
            if !ids.is_empty() {
                open.push(index);
                wanted.extend(ids);
            }
        }
        let (mut keyring, mut opened) = (Keyring::new(), Opened::default());
        while !open.is_empty() {
            asked.extend(wanted.iter().copied());
            keyring.extend(self.prefetch(std::mem::take(&mut wanted)).await?);
            let mut still_open = Vec::new();
            for index in open {
                let Sealed { payload, binding } = &mut payloads[index];
                match fields::open(payload, &keyring, binding) {
                    Ok(more) => opened.add(more),
                    // The keys of values in a payload that was sealed as a whole are known only once it is open.
                    Err(OpenError::NoKey { key }) if !asked.contains(&key) => {
                        wanted.insert(key);
                        still_open.push(index);
                    }
                    Err(reason) => return Err(failed(index)(reason)),
                }
            }
            open = still_open;
        }
        Ok(opened)
    }
}

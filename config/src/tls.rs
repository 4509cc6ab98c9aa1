//! `[gateway.tls]`: encrypted connections of clients.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// Encrypted connections of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the server's certificate, followed by those that link it to its authority. Default empty:
    /// connections are not encrypted.
    pub certificate: PathBuf,
    /// PEM file with the private key of `certificate`.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are accepted. Default empty: clients need no
    /// certificate.
    pub client_ca: PathBuf,
    /// The oldest version of the protocol that a client may use. Default `1.2`; set `1.3` if all clients are recent.
    pub min_version: TlsVersion,
    /// Time for the handshake of a connection. Default 10 s; raise it for clients on very poor networks.
    #[serde(with = "text::duration")]
    pub handshake_timeout: Duration,
    /// Handshakes at a time. One more ends the one that has taken longest. Default 1,000.
    pub handshakes: NonZeroUsize,
    /// How long browsers remember that this host is reached by `https` alone (HSTS, RFC 6797). Default zero: they are
    /// not told.
    #[serde(with = "text::duration")]
    pub hsts: Duration,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

impl Tls {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        is_set(&self.certificate)
    }

    /// The file with the authorities of client certificates, if clients need one.
    #[must_use]
    pub fn client_ca(&self) -> Option<&Path> {
        is_set(&self.client_ca).then_some(&*self.client_ca)
    }
}

pub(crate) fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

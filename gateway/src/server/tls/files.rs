//! The files with certificates and keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dormouse_config::{Tls as Config, TlsVersion};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ALL_VERSIONS, RootCertStore, ServerConfig};

use crate::server::stream::HTTP2;

/// The protocols that are offered to clients (ALPN, RFC 7301), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// Why the files of `[gateway.tls]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("{key} = {}: {source}: name a file that the server's user can read", path.display())]
    Unreadable {
        /// The setting that names it.
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file has not what it should have.
    #[error("{key} = {}: the file has no {wanted} in PEM format", path.display())]
    Missing { key: &'static str, path: PathBuf, wanted: &'static str },
    /// The authorities of client certificates cannot be used.
    #[error("gateway.tls.client_ca = {}: {source}", path.display())]
    Authorities { path: PathBuf, source: VerifierBuilderError },
    /// Certificate and key do not fit, or one of them cannot be used.
    #[error("gateway.tls.certificate = {}, gateway.tls.key = {}: {source}", certificate.display(), key.display())]
    Certificate { certificate: PathBuf, key: PathBuf, source: rustls::Error },
}

/// The paths of the files.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    min_version: TlsVersion,
}

/// What the files have, ready to be used.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// A hash of the files: another one means that they have changed.
    pub(super) content: blake3::Hash,
}

/// The bytes of the files.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            certificate: config.certificate.clone(),
            key: config.key.clone(),
            client_ca: config.client_ca().map(Path::to_owned),
            min_version: config.min_version,
        }
    }

    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        self.parse(&self.read()?)
    }

    /// `None`: the files have not changed.
    pub(super) fn load_if_other_than(&self, before: blake3::Hash) -> Result<Option<Loaded>, TlsError> {
        let content = self.read()?;
        if content.hash() == before { Ok(None) } else { self.parse(&content).map(Some) }
    }

    fn read(&self) -> Result<Content, TlsError> {
        let read = |key, path: &Path| {
            fs::read(path).map_err(|source| TlsError::Unreadable { key, path: path.to_owned(), source })
        };
        Ok(Content {
            certificate: read("gateway.tls.certificate", &self.certificate)?,
            key: read("gateway.tls.key", &self.key)?,
            client_ca: self.client_ca.as_deref().map(|path| read("gateway.tls.client_ca", path)).transpose()?,
        })
    }

    fn parse(&self, content: &Content) -> Result<Loaded, TlsError> {
        let chain = certificates("gateway.tls.certificate", &self.certificate, &content.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|_| TlsError::Missing {
            key: "gateway.tls.key",
            path: self.key.clone(),
            wanted: "private key",
        })?;
        let unusable =
            |source| TlsError::Certificate { certificate: self.certificate.clone(), key: self.key.clone(), source };
        let provider = Arc::new(ring::default_provider());
        let versions = match self.min_version {
            TlsVersion::Tls12 => ALL_VERSIONS,
            TlsVersion::Tls13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(unusable)?;
        let builder = match (&self.client_ca, &content.client_ca) {
            (Some(path), Some(pem)) => {
                let refused = |source| TlsError::Authorities { path: path.clone(), source };
                let mut roots = RootCertStore::empty();
                for authority in certificates("gateway.tls.client_ca", path, pem)? {
                    roots.add(authority).map_err(unusable)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(refused)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // The client keeps the session, so the server's memory does not grow with the number of clients.
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        Ok(Loaded { config: Arc::new(config), content: content.hash() })
    }
}

impl Content {
    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for file in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()] {
            let file = file.map_or(&[][..], Vec::as_slice);
            hasher.update(blake3::hash(file).as_bytes());
        }
        hasher.finalize()
    }
}

fn certificates(key: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if found.is_empty() {
        return Err(TlsError::Missing { key, path: path.to_owned(), wanted: "certificate" });
    }
    Ok(found)
}

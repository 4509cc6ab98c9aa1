//! TLS for the connections of clients: the certificate, which may change while the server runs, and the handshake.

mod files;
mod handshake;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dormouse_config::Tls as Config;
use metrics::counter;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::metric;
use files::{Files, Loaded, TlsError};
pub(super) use handshake::{Handshakes, handshake};

/// How often the files are read. A renewed certificate is usually days older than the end of the one before.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// What new connections are encrypted with.
pub(crate) struct Tls {
    files: Files,
    current: RwLock<Loaded>,
    pub(super) handshake_timeout: Duration,
    pub(super) handshakes: usize,
}

impl Tls {
    /// Reads the files of the configuration. `None`: connections are not encrypted.
    ///
    /// # Errors
    /// If a file cannot be read, or if they do not fit together.
    pub(crate) fn load(config: &Config) -> Result<Option<Arc<Self>>, TlsError> {
        if !config.is_on() {
            return Ok(None);
        }
        let files = Files::of(config);
        let current = RwLock::new(files.load()?);
        let (handshake_timeout, handshakes) = (config.handshake_timeout, config.handshakes.get());
        Ok(Some(Arc::new(Self { files, current, handshake_timeout, handshakes })))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Reads the files again. If one has changed, new connections use what is in them now. If they cannot be used, all
    /// stays as it is, and the log says why.
    pub(crate) fn reload(&self) {
        let before = self.current.read().unwrap_or_else(PoisonError::into_inner).content;
        let result = match self.files.load_if_other_than(before) {
            Ok(None) => return,
            Ok(Some(loaded)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                info!(certificate = %self.files.certificate.display(), "new connections use the renewed certificate");
                "ok"
            }
            Err(error) => {
                error!(%error, "the renewed certificate cannot be used, new connections use the one before");
                "failed"
            }
        };
        counter!(metric::TLS_RELOADS, "result" => result).increment(1);
    }

    /// Background task: reads the files again and again.
    pub(crate) async fn keep_current(self: Arc<Self>) {
        loop {
            sleep(RELOAD_INTERVAL).await;
            let tls = Arc::clone(&self);
            // Files may be on a network.
            let _panicked = spawn_blocking(move || tls.reload()).await;
        }
    }
}

/// Without keys.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}

//! Encrypted connections to a server: which certificates the command line trusts, and its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio_rustls::rustls::crypto::ring;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::cli::failure::WrongArgument;

/// The certificates that the command line trusts, and its own.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Trust {
    /// PEM file with the authority of the server's certificate [default: the system's authorities]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file with a certificate of the client, for a server with gateway.tls.client_ca
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// PEM file with the private key of the client's certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
}

impl Trust {
    /// The authorities that a server's certificate may come from: that of `--ca`, or else `own`, a file with the
    /// certificate that the server is known to have, and the authorities of this system.
    pub(super) fn config(&self, own: Option<&Path>) -> Result<TlsConfig, WrongArgument> {
        let mut roots = Vec::new();
        match &self.ca {
            Some(ca) => roots.extend(certificates("--ca", ca)?),
            None => {
                if let Some(own) = own {
                    roots.extend(certificates("gateway.tls.certificate", own)?);
                }
                let native = rustls_native_certs::load_native_certs().certs;
                roots.extend(native.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
            }
        }
        let client = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("--client-certificate", certificate)?;
                Some(ClientCert::new_with_certs(&chain, private_key(key)?))
            }
            _ => None,
        };
        Ok(TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(client)
            .build())
    }
}

fn certificates(argument: &str, path: &Path) -> Result<Vec<Certificate<'static>>, WrongArgument> {
    let pem = read(argument, path)?;
    let found = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Err(WrongArgument(format!("{argument} {}: the file has no certificate in PEM format", path.display())));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, WrongArgument> {
    let pem = read("--client-key", path)?;
    PrivateKey::from_pem(&pem).map_err(|_| {
        WrongArgument(format!("--client-key {}: the file has no private key in PEM format", path.display()))
    })
}

fn read(argument: &str, path: &Path) -> Result<Vec<u8>, WrongArgument> {
    fs::read(path).map_err(|error| WrongArgument(format!("{argument} {}: {error}", path.display())))
}

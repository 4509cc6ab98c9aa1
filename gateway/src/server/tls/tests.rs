//! Encrypted connections as clients see them.

use std::fs;
use std::io;
use std::num::NonZeroUsize;

use dormouse_harness::{Authority, Certificate};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::*;
use crate::server::Options;
use crate::server::tests::{SOON, Serving};

const HOST: &str = "localhost";

/// A server with a certificate of `authority`, and its files.
pub(in crate::server) struct Site {
    pub(in crate::server) serving: Serving,
    tls: Arc<Tls>,
    authority: Authority,
    directory: TempDir,
}

impl Site {
    async fn with(change: impl FnOnce(&mut Config, &TempDir)) -> Self {
        Self::with_options(change, |_| {}).await
    }

    pub(in crate::server) async fn with_options(
        change: impl FnOnce(&mut Config, &TempDir),
        options: impl FnOnce(&mut Options),
    ) -> Self {
        let (authority, directory) = (Authority::new("authority"), TempDir::new().unwrap());
        let mut config = dormouse_config::Config::embedded().gateway.tls;
        (config.certificate, config.key) = (directory.path().join("server.pem"), directory.path().join("server.key"));
        write(&directory, &authority.server(&[HOST]));
        change(&mut config, &directory);
        let tls = Tls::load(&config).unwrap().unwrap();
        let serving = Serving::encrypted(Some(Arc::clone(&tls)), options).await;
        Self { serving, tls, authority, directory }
    }

    async fn plain(&self) -> TcpStream {
        TcpStream::connect(self.serving.address).await.unwrap()
    }

    pub(in crate::server) fn client(&self) -> ClientConfig {
        client(&self.authority, &[&TLS13, &TLS12], None)
    }

    pub(in crate::server) async fn connect(&self, client: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, self.plain().await).await
    }

    /// A new connection, and the answer to one request on it.
    async fn ask(&self, client: ClientConfig) -> io::Result<String> {
        ask(&mut self.connect(client).await?).await
    }
}

fn write(directory: &TempDir, files: &Certificate) {
    fs::write(directory.path().join("server.pem"), &files.certificate).unwrap();
    fs::write(directory.path().join("server.key"), &files.key).unwrap();
}

fn client(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<&Certificate>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap()).unwrap()
        }
    }
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let (mut answer, mut buffer) = (String::new(), [0; 1024]);
    while !answer.ends_with("here") {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    Ok(answer)
}

/// The certificate that the server has shown.
fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn both_versions_are_spoken_unless_the_older_is_switched_off() {
    let site = Site::with(|_, _| {}).await;
    for version in [&TLS12, &TLS13] {
        let answer = site.ask(client(&site.authority, &[version], None)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    let site = Site::with(|config, _| config.min_version = dormouse_config::TlsVersion::Tls13).await;
    site.ask(client(&site.authority, &[&TLS12], None)).await.unwrap_err();
    site.ask(client(&site.authority, &[&TLS13], None)).await.unwrap();
}

#[tokio::test]
async fn a_request_without_encryption_is_told_so() {
    let site = Site::with(|_, _| {}).await;
    let mut client = site.plain().await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_while_open_ones_go_on() {
    let site = Site::with(|_, _| {}).await;
    let mut open = site.connect(site.client()).await.unwrap();
    let first = shown(&open);
    write(&site.directory, &site.authority.server(&[HOST]));
    site.tls.reload();
    let renewed = shown(&site.connect(site.client()).await.unwrap());
    assert_ne!(renewed, first);
    ask(&mut open).await.unwrap();

    // A file that is being written, a key of another certificate, and a file that is gone.
    let key = fs::read(site.directory.path().join("server.key")).unwrap();
    fs::write(site.directory.path().join("server.key"), &key[..key.len() / 2]).unwrap();
    site.tls.reload();
    fs::write(site.directory.path().join("server.key"), site.authority.server(&[HOST]).key).unwrap();
    site.tls.reload();
    fs::remove_file(site.directory.path().join("server.pem")).unwrap();
    site.tls.reload();
    assert_eq!(shown(&site.connect(site.client()).await.unwrap()), renewed);
}

#[tokio::test]
async fn clients_that_say_nothing_delay_nobody_and_are_disconnected() {
    let site = Site::with(|config, _| config.handshakes = NonZeroUsize::new(5).unwrap()).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(site.plain().await);
        site.ask(site.client()).await.unwrap();
    }
    let mut nothing = [0];
    for early in &mut silent[..40] {
        let ended = tokio::time::timeout(SOON, early.read(&mut nothing)).await.expect("it is disconnected");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_in_time_is_disconnected() {
    let site = Site::with(|config, _| config.handshake_timeout = Duration::from_millis(100)).await;
    let mut client = site.plain().await;
    client.write_all(&[22, 3, 1]).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, client.read_to_end(&mut rest)).await.expect("it is disconnected").unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn with_an_authority_for_clients_only_its_clients_are_answered() {
    let clients = Authority::new("clients");
    let site = Site::with(|config, directory| {
        config.client_ca = directory.path().join("clients.pem");
        fs::write(&config.client_ca, clients.pem()).unwrap();
    })
    .await;
    let known = clients.client("billing");
    site.ask(client(&site.authority, &[&TLS13], Some(&known))).await.unwrap();
    let foreign = Authority::new("clients").client("billing");
    for unknown in [None, Some(&foreign)] {
        for version in [&TLS12, &TLS13] {
            site.ask(client(&site.authority, &[version], unknown)).await.unwrap_err();
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_setting() {
    let (authority, directory) = (Authority::new("authority"), TempDir::new().unwrap());
    let mut config = dormouse_config::Config::embedded().gateway.tls;
    assert!(Tls::load(&config).unwrap().is_none());
    (config.certificate, config.key) = (directory.path().join("server.pem"), directory.path().join("server.key"));
    let good = authority.server(&[HOST]);
    let refused = |files: Option<Certificate>, beginning: &str, says: &str| {
        if let Some(files) = files {
            write(&directory, &files);
        }
        let error = Tls::load(&config).unwrap_err().to_string();
        assert!(error.starts_with(beginning) && error.contains(says), "{error}");
    };
    refused(None, "gateway.tls.certificate = ", "No such file");
    refused(Some(Certificate { certificate: "text".to_owned(), ..good.clone() }), "gateway.tls.cert", "no certificate");
    refused(Some(Certificate { key: good.certificate.clone(), ..good.clone() }), "gateway.tls.key", "no private key");
    let other = authority.server(&[HOST]);
    refused(Some(Certificate { key: other.key, ..good.clone() }), "gateway.tls.certificate", "gateway.tls.key");
    config.client_ca = directory.path().join("clients.pem");
    fs::write(&config.client_ca, "").unwrap();
    write(&directory, &good);
    let error = Tls::load(&config).unwrap_err().to_string();
    assert!(error.starts_with("gateway.tls.client_ca") && error.contains("no certificate"), "{error}");
}

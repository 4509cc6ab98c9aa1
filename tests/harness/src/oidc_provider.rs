//! A real `oidc-provider` (npm), as an identity provider of somebody else.

use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Client;
use crate::guard::{Guarded, Orphan, guarded};
use crate::logs::Logs;

const START_BOUND: Duration = Duration::from_secs(60);

/// What `tests/clients/provider.js` prints as soon as it listens.
const ANNOUNCEMENT: &str = "listening on ";

/// The client that `tests/clients/provider.js` knows: its id and its secret.
const CREDENTIALS: &str = "warehouse:known-to-the-test";

/// An `oidc-provider` on a free port of this machine. It is killed when this is dropped.
#[derive(Debug)]
pub struct OidcProvider {
    _process: Guarded,
    issuer: String,
}

impl OidcProvider {
    /// Starts it. `folder` is where `tests/clients/install` has put it.
    ///
    /// # Panics
    /// If there is no `node`, or if the provider does not start.
    #[must_use]
    #[track_caller]
    pub fn start(folder: &Path) -> Self {
        let mut command = guarded("node");
        command.arg("provider.js").current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Guarded::start(command, &Orphan { signal: "KILL", directory: None });
        let (announced, announcement) = mpsc::channel();
        let logs = Logs::default();
        logs.drain(process.child().stdout.take().expect("stdout is piped"), move |line| {
            if let Some(issuer) = line.strip_prefix(ANNOUNCEMENT) {
                // The receiver is gone if the line comes too late.
                let _ = announced.send(issuer.to_owned());
            }
        });
        logs.drain(process.child().stderr.take().expect("stderr is piped"), |_| {});
        let issuer = announcement.recv_timeout(START_BOUND);
        let issuer = issuer.unwrap_or_else(|error| panic!("oidc-provider did not start: {error}\n{}", logs.all()));
        Self { _process: process, issuer }
    }

    /// Its name in its tokens, which is also its address: `http://127.0.0.1:port`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The address of its public keys, as its metadata say (RFC 8414).
    ///
    /// # Panics
    /// When it does not tell.
    #[must_use]
    #[track_caller]
    pub fn jwks_url(&self) -> String {
        let told = Client::new(&*self.issuer).get("/.well-known/openid-configuration").expect("it answers").json();
        told["jwks_uri"].as_str().unwrap_or_else(|| panic!("no address of keys: {told}")).to_owned()
    }

    /// An access token of the client `warehouse`, for a server and with a scope (RFC 6749, 4.4, and RFC 8707).
    ///
    /// # Panics
    /// When it gives none.
    #[must_use]
    #[track_caller]
    pub fn token(&self, server: &str, scope: &str) -> String {
        let authorization = format!("Basic {}", STANDARD.encode(CREDENTIALS));
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("authorization", authorization.as_str())];
        let form = format!("grant_type=client_credentials&resource={server}&scope={scope}");
        let answer = Client::new(&*self.issuer).request("POST", "/token", &headers, Some(form.as_bytes()));
        let answer = answer.expect("it answers");
        assert_eq!(answer.status, 200, "{answer}");
        let told = answer.json();
        told["access_token"].as_str().unwrap_or_else(|| panic!("no token: {told}")).to_owned()
    }
}

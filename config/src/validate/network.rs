//! The rules of what clients and operators reach: the server, its callers, its audit log.

use std::collections::BTreeSet;
use std::time::Duration;

use bytesize::ByteSize;

use super::{Violation, at_least, at_most, some_bytes, some_time, within};
use crate::tls::is_set;
use crate::{AuthMode, Config, Jwks};

/// A page is in memory until its client has taken it.
const PAGE_BYTES_MAX: ByteSize = ByteSize::mib(16);

/// Clocks that differ more are wrong, and the token of a caller that was locked out would count for longer.
const LEEWAY_MAX: Duration = Duration::from_secs(600);

/// An audit log with less would be full after some thousand entries.
const AUDIT_SIZE_MIN: ByteSize = ByteSize::mib(1);

/// Listing and verifying read the whole audit log.
const AUDIT_SIZE_MAX: ByteSize = ByteSize::tib(1);

/// A stream reads the journal between two heartbeats, and that takes time.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// The key of the only violation that has the same remedy everywhere.
pub(super) const AUTH_MODE: &str = "auth.mode";

impl Config {
    pub(super) fn validate_gateway(&self) -> Result<(), Violation> {
        let gateway = &self.gateway;
        let open = self.auth.mode == AuthMode::None && !gateway.allow_unauthenticated;
        if open && !gateway.listen.ip().to_canonical().is_loopback() {
            return Err(Violation {
                key: "gateway.listen",
                expected:
                    "a loopback address while auth.mode is \"none\", unless gateway.allow_unauthenticated is true"
                        .to_owned(),
                other: None,
            });
        }
        self.validate_admin(open)?;
        some_bytes("gateway.max_body", gateway.max_body)?;
        some_time("gateway.header_timeout", gateway.header_timeout)?;
        at_most(
            ("gateway.header_timeout", gateway.header_timeout),
            ("gateway.request_timeout", gateway.request_timeout),
        )?;
        if gateway.request_timeout <= self.commands.timeout {
            return Err(Violation {
                key: "gateway.request_timeout",
                expected: "more than".to_owned(),
                other: Some("commands.timeout"),
            });
        }
        if gateway.stream_heartbeat < HEARTBEAT_MIN {
            return Err(Violation {
                key: "gateway.stream_heartbeat",
                expected: "at least 100ms".to_owned(),
                other: None,
            });
        }
        self.validate_tls()?;
        within("gateway.page_bytes", gateway.page_bytes, ByteSize::b(1), PAGE_BYTES_MAX)?;
        at_least(("gateway.read_budget", gateway.read_budget), ("gateway.page_bytes", gateway.page_bytes))?;
        at_most(("gateway.page_size", gateway.page_size), ("gateway.page_size_max", gateway.page_size_max))
    }

    fn validate_admin(&self, open: bool) -> Result<(), Violation> {
        let Some(listen) = self.admin.listen else { return Ok(()) };
        if open && !listen.ip().to_canonical().is_loopback() {
            let expected = "a loopback address while auth.mode is \"none\"".to_owned();
            return Err(Violation { key: "admin.listen", expected, other: None });
        }
        // Port 0 is a free port, another one each time.
        if listen == self.gateway.listen && listen.port() != 0 {
            return Err(Violation {
                key: "admin.listen",
                expected: "another address than that of".to_owned(),
                other: Some("gateway.listen"),
            });
        }
        Ok(())
    }

    /// Whether the files can be used shows when they are read.
    fn validate_tls(&self) -> Result<(), Violation> {
        let tls = &self.gateway.tls;
        some_time("gateway.tls.handshake_timeout", tls.handshake_timeout)?;
        let missing = |key, of| {
            let expected = "a file, because there is one in".to_owned();
            Err(Violation { key, expected, other: Some(of) })
        };
        match (is_set(&tls.certificate), is_set(&tls.key), is_set(&tls.client_ca)) {
            (true, false, _) => missing("gateway.tls.key", "gateway.tls.certificate"),
            (false, true, _) => missing("gateway.tls.certificate", "gateway.tls.key"),
            (false, false, true) => missing("gateway.tls.certificate", "gateway.tls.client_ca"),
            _ => Ok(()),
        }
    }

    /// Checks that a server with this configuration may be started. A configuration that must not be started can be
    /// printed nevertheless, so [`load`](crate::load) does not check it.
    ///
    /// # Errors
    /// Callers must be authenticated, and are not.
    pub fn validate_start(&self) -> Result<(), Violation> {
        if self.auth.mode != AuthMode::None || !self.auth.required {
            return Ok(());
        }
        let expected = "\"jwt\" because auth.required is true; or set auth.required = false, if something in front of the \
                        server authenticates callers";
        Err(Violation { key: AUTH_MODE, expected: expected.to_owned(), other: None })
    }

    /// Whether files and addresses can be used shows when they are read.
    pub(super) fn validate_auth(&self) -> Result<(), Violation> {
        let auth = &self.auth;
        let violated = |key, expected: String| Err(Violation { key, expected, other: None });
        if auth.mode == AuthMode::Jwt
            && auth.all_issuers().next().is_none()
            && auth.api_keys().is_none()
            && auth.certificates.is_empty()
        {
            let expected = "the name of an issuer while auth.mode is \"jwt\", unless auth.api_keys names a file or \
                            auth.certificates has a name";
            return violated("auth.jwt.issuer", expected.to_owned());
        }
        if !auth.certificates.is_empty() && self.gateway.tls.client_ca().is_none() {
            let expected = "a file, because there are names in".to_owned();
            return Err(Violation { key: "gateway.tls.client_ca", expected, other: Some("auth.certificates") });
        }
        some_time("auth.telegram.max_age", auth.telegram.max_age)?;
        some_time("auth.telegram.token_lifetime", auth.telegram.token_lifetime)?;
        if auth.bot_token().is_some() && auth.token_key().is_none() {
            let expected = "a file, because there is one in".to_owned();
            return Err(Violation { key: "auth.token_key", expected, other: Some("auth.telegram.bot_token") });
        }
        let mut names = BTreeSet::new();
        for (section, issuer) in auth.all_issuers() {
            let key = |key| if section == "auth.jwt" { key } else { "auth.issuers" };
            if !names.insert(&issuer.issuer) || issuer.issuer.is_empty() {
                return violated(key("auth.jwt.issuer"), format!("in {section} a name that no other issuer has"));
            }
            if issuer.audience.iter().all(String::is_empty) {
                let expected = format!("in {section} at least one name of this server (audience)");
                return violated(key("auth.jwt.audience"), expected);
            }
            if is_set(&issuer.public_key) == (issuer.jwks != Jwks::None) {
                let expected = format!("in {section} either a public_key or jwks");
                return violated(key("auth.jwt.public_key"), expected);
            }
            if section.contains(':')
                || ["auth.issuers.key", "auth.issuers.telegram", "auth.issuers.certificate"].contains(&section.as_str())
            {
                return violated(
                    "auth.issuers",
                    format!("another name than {section}, which subjects of others begin with"),
                );
            }
            if issuer.leeway > LEEWAY_MAX {
                let expected = format!("in {section} a leeway of at most 10m");
                return violated(key("auth.jwt.leeway"), expected);
            }
        }
        Ok(())
    }

    pub(super) fn validate_audit(&self) -> Result<(), Violation> {
        let audit = &self.audit;
        if audit.key.starts_with(&audit.directory) {
            let expected = "a file that is not in".to_owned();
            return Err(Violation { key: "audit.key", expected, other: Some("audit.directory") });
        }
        within("audit.max_size", audit.max_size, AUDIT_SIZE_MIN, AUDIT_SIZE_MAX)
    }
}

//! From where operators are served: from which networks (`admin.allow`), and at which address (`admin.listen`).

use std::net::IpAddr;

use dormouse_config::{Admin, Network};

use super::problem::{self, Problem};

/// The first segments of the addresses that operators alone use.
const FIRST_SEGMENTS: [&str; 3] = ["admin", "metrics", "console"];

/// The first segments of the addresses that are served to operators and to clients.
const SHARED: [&str; 3] = ["health", "openapi.json", "docs"];

/// Who connects to a listening address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Clients and operators: there is one address for all.
    All,
    /// Clients, while operators have an address of their own.
    Clients,
    /// Operators.
    Operators,
}

/// Whether the path belongs to operators. Paths are compared as they are sent, as the router does.
pub(super) fn are_asked_for(path: &str) -> bool {
    first_segment(path).is_some_and(|first| FIRST_SEGMENTS.contains(&first))
}

/// Refuses a request that its address does not serve, and one of operators from another network than theirs.
pub(super) fn check(admin: &Admin, audience: Audience, client: IpAddr, path: &str) -> Result<(), Problem> {
    let is_for_operators = are_asked_for(path);
    let is_served = match audience {
        Audience::All => true,
        Audience::Clients => !is_for_operators,
        Audience::Operators => is_for_operators || first_segment(path).is_some_and(|first| SHARED.contains(&first)),
    };
    if !is_served {
        return Err(super::no_route());
    }
    if is_for_operators && !admin.allow.is_empty() && !Network::any_contains(&admin.allow, client) {
        let detail = format!("operators do not use the address {client}: the setting admin.allow names their networks");
        return Err(Problem::new(&problem::ADDRESS_REFUSED, detail));
    }
    Ok(())
}

fn first_segment(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    fn checked(allow: &[&str], audience: Audience, client: &str, path: &str) -> Result<(), u16> {
        let allow = allow.iter().map(|network| network.parse().expect("these are networks")).collect();
        let client = client.parse().expect("tests have addresses");
        let checked = check(&Admin { allow, listen: None }, audience, client, path);
        checked.map_err(|problem| problem.problem_type().status.as_u16())
    }

    #[test]
    fn all_paths_of_operators_but_health_are_known() {
        for path in openapi::operator_paths() {
            let path = path.to_string();
            assert!(are_asked_for(&path) || first_segment(&path) == Some("health"), "{path}");
        }
        for path in ["/v1/admin/1", "/administration", "/", "", "/metrics2", "admin"] {
            assert!(!are_asked_for(path), "{path}");
        }
    }

    #[test]
    fn operators_come_from_their_networks() {
        let allow = ["10.0.0.0/8", "::1"];
        for (client, path, expected) in [
            ("10.1.2.3", "/admin/projections", Ok(())),
            ("::ffff:10.1.2.3", "/metrics", Ok(())),
            ("::1", "/console", Ok(())),
            ("192.0.2.1", "/admin/projections", Err(403)),
            ("192.0.2.1", "/metrics", Err(403)),
            ("192.0.2.1", "/health", Ok(())),
            ("192.0.2.1", "/v1/order/o-1", Ok(())),
        ] {
            assert_eq!(checked(&allow, Audience::All, client, path), expected, "{client} {path}");
        }
        assert_eq!(checked(&[], Audience::All, "192.0.2.1", "/admin/projections"), Ok(()));
    }

    #[test]
    fn operators_with_an_address_of_their_own_are_served_there_alone() {
        for (path, clients, operators) in [
            ("/admin/projections", Err(404), Ok(())),
            ("/metrics", Err(404), Ok(())),
            ("/v1/order/o-1", Ok(()), Err(404)),
            ("/", Ok(()), Err(404)),
            ("/health/ready", Ok(()), Ok(())),
            ("/openapi.json", Ok(()), Ok(())),
        ] {
            assert_eq!(checked(&[], Audience::Clients, "::1", path), clients, "{path}");
            assert_eq!(checked(&[], Audience::Operators, "::1", path), operators, "{path}");
        }
        assert_eq!(checked(&["10.0.0.0/8"], Audience::Operators, "::1", "/metrics"), Err(403));
    }
}

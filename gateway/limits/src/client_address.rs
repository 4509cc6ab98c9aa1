//! The address of a client behind proxies.

use std::net::{IpAddr, SocketAddr};

use dormouse_config::{ForwardedHeader, Network};

/// The most proxies that a request may have passed. A longer list is not read to its end.
const HOPS_MAX: usize = 16;

/// The address of the client that sent a request.
///
/// `peer` is the address of the connection, and `values` are the values of `header` in the order of the request. Each
/// proxy appends the address of its own peer. So the list is read from its end, as long as the proxies that wrote it
/// are trusted: the first address that is not a trusted proxy is the client. Everything before it could have been
/// written by the client itself, and is ignored. If an entry is not an address, the proxy that wrote it counts as the
/// client: a request never gets an address that no trusted proxy has seen.
#[must_use]
pub fn client_address<'v>(
    peer: IpAddr,
    header: ForwardedHeader,
    values: impl DoubleEndedIterator<Item = &'v str>,
    trusted: &[Network],
) -> IpAddr {
    let mut known = peer.to_canonical();
    let entries = values.rev().flat_map(|value| value.rsplit(','));
    for entry in entries.take(HOPS_MAX) {
        if !Network::any_contains(trusted, known) {
            return known;
        }
        let address = match header {
            ForwardedHeader::XForwardedFor => address_of(entry.trim()),
            ForwardedHeader::Forwarded => forwarded_for(entry).and_then(address_of),
        };
        match address {
            Some(address) => known = address,
            None => return known,
        }
    }
    known
}

/// The parameter `for` of an element of `Forwarded` (RFC 7239, 4). An element with two of them is not valid.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut found = None;
    for parameter in element.split(';') {
        let (name, value) = parameter.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        // No address has a comma or a semicolon, so the list could be split without regard to quotes.
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`. Names such as
/// `unknown` and `_hidden` are none.
fn address_of(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().or_else(|_| node.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

    fn client(peer: &str, header: ForwardedHeader, values: &[&str]) -> String {
        let trusted = TRUSTED.map(|network| network.parse().expect("these are networks"));
        let peer = peer.parse().expect("tests have addresses");
        client_address(peer, header, values.iter().copied(), &trusted).to_string()
    }

    fn x_forwarded_for(peer: &str, values: &[&str]) -> String {
        client(peer, ForwardedHeader::XForwardedFor, values)
    }

    #[test]
    fn without_a_trusted_proxy_the_address_of_the_connection_counts() {
        assert_eq!(x_forwarded_for("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(x_forwarded_for("::ffff:192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(x_forwarded_for("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_client() {
        assert_eq!(x_forwarded_for("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(x_forwarded_for("10.0.0.1", &["203.0.113.5, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(x_forwarded_for("10.0.0.1", &["203.0.113.5", "198.51.100.7", "10.0.0.2"]), "198.51.100.7");
        assert_eq!(x_forwarded_for("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(x_forwarded_for("10.0.0.1", &["10.0.0.9"]), "10.0.0.9", "a client inside");
    }

    #[test]
    fn what_a_client_wrote_into_the_header_does_not_count() {
        for forged in ["10.0.0.5", "127.0.0.1", "198.51.100.200", "", ",,,", "unknown", "\u{7f}"] {
            assert_eq!(
                x_forwarded_for("10.0.0.1", &[&format!("{forged}, 198.51.100.7")]),
                "198.51.100.7",
                "{forged:?}"
            );
        }
    }

    #[test]
    fn an_entry_that_is_no_address_stands_for_the_proxy_that_wrote_it() {
        for broken in ["unknown", "_hidden", "", "198.51.100.7.8", "example.org"] {
            assert_eq!(x_forwarded_for("10.0.0.1", &[&format!("198.51.100.7, {broken}")]), "10.0.0.1", "{broken:?}");
        }
    }

    #[test]
    fn forwarded_elements_have_addresses_with_ports_and_quotes() {
        for (value, expected) in [
            ("for=198.51.100.7", "198.51.100.7"),
            ("For=\"198.51.100.7:4711\";proto=https;by=10.0.0.1", "198.51.100.7"),
            ("for=\"[2001:db8::7]\"", "2001:db8::7"),
            ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=203.0.113.5, proto=https; for=198.51.100.7", "198.51.100.7"),
            ("for=unknown", "10.0.0.1"),
            ("for=198.51.100.7;for=203.0.113.5", "10.0.0.1"),
            ("by=198.51.100.7", "10.0.0.1"),
            ("for=\"198.51.100.7", "10.0.0.1"),
            ("nonsense", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", ForwardedHeader::Forwarded, &[value]), expected, "{value}");
        }
    }

    proptest! {
        /// Whatever a client sends in the header, a proxy appends the client's true address, and that is what counts.
        #[test]
        fn no_header_of_a_client_changes_its_address(sent in ".{0,60}", forwarded in any::<bool>()) {
            let (header, appended) = match forwarded {
                true => (ForwardedHeader::Forwarded, "for=198.51.100.7"),
                false => (ForwardedHeader::XForwardedFor, "198.51.100.7"),
            };
            // Proxies either append to the value or add a value of their own.
            prop_assert_eq!(client("10.0.0.1", header, &[&format!("{sent},{appended}")]), "198.51.100.7");
            prop_assert_eq!(client("10.0.0.1", header, &[&sent, appended]), "198.51.100.7");
            // Without a proxy it is the address of the connection.
            prop_assert_eq!(client("192.0.2.1", header, &[&sent]), "192.0.2.1");
        }
    }
}

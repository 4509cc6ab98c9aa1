//! Checks which host a request names, and which web page sent it.
//!
//! A browser sends requests to any address that a page tells it to, also to a server that listens on loopback. The
//! check of the host stops pages that reach this server under a name of their own (DNS rebinding). The cross-site check
//! stops pages of other origins from changing anything. It follows the algorithm of Go's `http.CrossOriginProtection`:
//! recent browsers say in `Sec-Fetch-Site` where a request comes from, older ones name the page's origin in `Origin`,
//! and a client that sends neither is not a browser.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, Uri, Version};
use dormouse_config::{HostName, WebOrigin};

use super::problem::{self, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that names no host or a wrong one, or that a page of another site sent, unless `origins` has it.
pub(super) fn check(request: &Parts, hosts: &[HostName], origins: &[WebOrigin]) -> Result<(), Problem> {
    let Parts { method, uri, version, headers, .. } = request;
    let authority = named_authority(uri, *version, headers)?;
    if let Some(authority) = authority
        && !is_known(host_of(authority), hosts)
    {
        let detail = format!(
            "the request is for {authority:?}: this server accepts IP addresses, localhost, and the names in its \
             setting gateway.hosts"
        );
        return Err(Problem::new(&problem::UNKNOWN_HOST, detail));
    }
    let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe || comes_from_here(headers, authority) || comes_from(headers, origins) {
        return Ok(());
    }
    let detail = "a web page of another origin sent this request: it may read, but not change anything";
    Err(Problem::new(&problem::CROSS_SITE, detail))
}

/// Host and port that the request is for. Only HTTP/1.0 may omit them. An address in absolute form takes precedence
/// over the header (RFC 9112, 3.2.2), and replaces it in HTTP/2 (RFC 9113, 8.3.1).
fn named_authority<'r>(uri: &'r Uri, version: Version, headers: &'r HeaderMap) -> Result<Option<&'r str>, Problem> {
    let malformed = |detail: &'static str| Problem::new(&problem::MALFORMED_REQUEST, detail);
    let mut values = headers.get_all(HOST).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(malformed("the header Host occurs more than once: send it once"));
    }
    let authority = uri.authority().map(Authority::as_str);
    let Some(value) = value else {
        return match version {
            Version::HTTP_11 => Err(malformed("the header Host is missing: send it")),
            Version::HTTP_2 if authority.is_none() => Err(malformed(":authority is missing: send it")),
            _ => Ok(authority),
        };
    };
    let value = value.to_str().map_err(|_| malformed("the header Host is not text"))?;
    Ok(Some(authority.unwrap_or(value)))
}

/// The host of `host:port`. An IPv6 address keeps its brackets.
fn host_of(authority: &str) -> &str {
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    authority[end..].find(':').map_or(authority, |colon| &authority[..end + colon])
}

fn is_known(host: &str, hosts: &[HostName]) -> bool {
    let is_address = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => host.parse::<Ipv4Addr>().is_ok(),
    };
    is_address || is_localhost(host) || hosts.iter().any(|name| name.covers(host))
}

/// `localhost`, and names below it, always mean this machine (RFC 6761, 6.3).
fn is_localhost(host: &str) -> bool {
    const NAME: &str = "localhost";
    let below = host.len().checked_sub(NAME.len()).and_then(|start| host.get(start..).zip(host.get(..start)));
    below.is_some_and(|(end, start)| end.eq_ignore_ascii_case(NAME) && (start.is_empty() || start.ends_with('.')))
}

fn comes_from_here(headers: &HeaderMap, authority: Option<&str>) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    // The scheme is not compared: a proxy in front may have ended TLS.
    let page = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    page.zip(authority).is_some_and(|(page, authority)| page.eq_ignore_ascii_case(authority))
}

/// Whether a page of one of these origins sent it. Browsers name the origin with every request that changes something.
fn comes_from(headers: &HeaderMap, origins: &[WebOrigin]) -> bool {
    let Some(origin) = headers.get(ORIGIN).filter(|_| !origins.is_empty()) else { return false };
    origins.iter().any(|known| known.as_str().as_bytes() == origin.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn checked(request: axum::http::request::Builder, hosts: &[&str]) -> Result<(), u16> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let hosts: Vec<HostName> = hosts.iter().map(|name| name.parse().unwrap()).collect();
        check(&parts, &hosts, &[origin("https://app.example.org")])
            .map_err(|problem| problem.problem_type().status.as_u16())
    }

    fn origin(text: &str) -> WebOrigin {
        serde_json::from_value(text.into()).expect("this is an origin")
    }

    fn naming(host: &str, hosts: &[&str]) -> Result<(), u16> {
        checked(Request::get("/health").header("host", host), hosts)
    }

    fn posted(headers: &[(&str, &str)]) -> Result<(), u16> {
        let request = Request::post("/v1/cart/c-1/clear").header("host", "localhost:8080");
        checked(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)), &[])
    }

    #[test]
    fn addresses_localhost_and_configured_names_are_accepted() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "10.1.2.3",
            "localhost",
            "LocalHost:80",
            "a.localhost",
        ] {
            assert_eq!(naming(host, &[]), Ok(()), "{host}");
        }
        for host in ["shop.example.org", "SHOP.example.org:443", "a.internal"] {
            assert_eq!(naming(host, &["shop.example.org", "*.internal"]), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in
            ["evil.net", "localhost.evil.net", "evillocalhost", "127.0.0.1.evil.net", "", "[::1", "[evil]:80", "::1"]
        {
            assert_eq!(naming(host, &["shop.example.org"]), Err(421), "{host}");
        }
        let absolute = Request::get("http://evil.net/health").header("host", "127.0.0.1");
        assert_eq!(checked(absolute, &[]), Err(421));
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(checked(Request::get("/health"), &[]), Err(400));
        let two = Request::get("/health").header("host", "localhost").header("host", "localhost");
        assert_eq!(checked(two, &[]), Err(400));
        assert_eq!(checked(Request::get("/health").version(Version::HTTP_10), &[]), Ok(()));
        assert_eq!(checked(Request::get("/health").header("host", "\u{e9}"), &[]), Err(400));
        let http2 = |uri: &str| Request::get(uri).version(Version::HTTP_2);
        assert_eq!(checked(http2("https://localhost/health"), &[]), Ok(()));
        assert_eq!(checked(http2("https://evil.net/health").header("host", "localhost"), &[]), Err(421));
        assert_eq!(checked(http2("/health"), &[]), Err(400));
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        assert_eq!(posted(&[("sec-fetch-site", "cross-site")]), Err(403));
        assert_eq!(posted(&[("sec-fetch-site", "same-site")]), Err(403));
        assert_eq!(posted(&[("origin", "https://evil.net")]), Err(403));
        assert_eq!(posted(&[("origin", "null")]), Err(403));
        // Another port of this machine is another origin.
        assert_eq!(posted(&[("origin", "http://localhost:3000")]), Err(403));
        let read = Request::get("/health").header("host", "localhost").header("sec-fetch-site", "cross-site");
        assert_eq!(checked(read, &[]), Ok(()));
    }

    #[test]
    fn a_page_of_a_configured_origin_may_change_things() {
        let site = ("sec-fetch-site", "cross-site");
        assert_eq!(posted(&[site, ("origin", "https://app.example.org")]), Ok(()));
        assert_eq!(posted(&[("origin", "https://app.example.org")]), Ok(()));
        for other in
            ["http://app.example.org", "https://app.example.org:444", "https://app.example.org.evil.net", "null"]
        {
            assert_eq!(posted(&[site, ("origin", other)]), Err(403), "{other}");
        }
    }

    #[test]
    fn pages_of_this_server_and_clients_that_are_not_browsers_may_change_things() {
        assert_eq!(posted(&[]), Ok(()));
        assert_eq!(posted(&[("sec-fetch-site", "none")]), Ok(()));
        assert_eq!(posted(&[("origin", "http://localhost:8080")]), Ok(()));
        // Behind a proxy that ends TLS and sends its own host, recent browsers still send this header.
        assert_eq!(posted(&[("sec-fetch-site", "same-origin"), ("origin", "https://shop.example.org")]), Ok(()));
    }
}

//! `cache`, and `config set`, on a server that runs.

use dormouse_harness::Server;
use serde_json::Value;
use tempfile::TempDir;

use super::{Ended, SOON, restock, run, server_in};

/// A server with a view whose only document is cached. While the commit that writes the document is not yet reported,
/// readers see the document and the cache does not keep it.
fn server_that_is_read() -> (TempDir, Server) {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).start();
    restock(&server, 1);
    let client = server.client();
    let started = std::time::Instant::now();
    while client.get("/v1/views/inventory/SKU-1").unwrap().status != 200 || entries(&server) != 1 {
        assert!(started.elapsed() < SOON, "the document of the view is not cached");
    }
    (directory, server)
}

fn dormouse(server: &Server, arguments: &[&str]) -> Ended {
    run(&[arguments, &["--server", &server.url()]].concat())
}

#[track_caller]
fn output_of(server: &Server, arguments: &[&str]) -> String {
    let ended = dormouse(server, arguments);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
    ended.stdout
}

fn entries(server: &Server) -> u64 {
    let stats: Value = serde_json::from_str(&output_of(server, &["cache", "stats", "--json"])).unwrap();
    stats["total"]["entries"].as_u64().unwrap()
}

#[test]
fn the_cache_is_shown_and_cleared() {
    let (_directory, server) = server_that_is_read();
    let brief = output_of(&server, &["cache", "stats"]);
    assert!(brief.starts_with("VIEW") && brief.lines().count() == 3, "{brief}");
    let detailed = output_of(&server, &["cache", "stats", "--detailed"]);
    assert!(detailed.lines().any(|line| line.starts_with("inventory ")), "{detailed}");
    assert_eq!(output_of(&server, &["cache", "clear", "orders"]), "0 entries dropped\n");
    assert_eq!(output_of(&server, &["cache", "clear", "inventory"]), "1 entries dropped\n");
    assert_eq!((entries(&server), output_of(&server, &["cache", "clear"])), (0, "0 entries dropped\n".to_owned()));
    let wrong = dormouse(&server, &["cache", "clear", "order"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("did you mean \"orders\"?"), "{wrong:?}");
}

#[test]
fn values_are_changed_while_the_server_runs() {
    let (_directory, server) = server_that_is_read();
    let output = output_of(&server, &["config", "set", "cache.size=1 GiB", "cache.enabled=false"]);
    assert_eq!(output, "cache.enabled = false\ncache.size = \"1 GiB\"\n");
    assert_eq!(entries(&server), 0);
    for (change, expected) in [
        ("cache.sise=1 GiB", "dormouse: change: unknown key `cache.sise`, the nearest known key is `cache.size`\n"),
        ("cache.size=0 B", "dormouse: change: cache.size = \"0 B\" is refused, expected a size larger than zero\n"),
        ("cache.size", "dormouse: `cache.size` changes nothing, expected section.key=value\n"),
    ] {
        let refused = dormouse(&server, &["config", "set", change]);
        assert_eq!((refused.code, refused.stderr.as_str()), (Some(2), expected), "{change}");
    }
    let fixed = dormouse(&server, &["config", "set", "runtime.shards=8"]);
    assert_eq!(fixed.code, Some(2));
    assert!(fixed.stderr.contains("`runtime.shards` is read when the server starts"), "{fixed:?}");
}

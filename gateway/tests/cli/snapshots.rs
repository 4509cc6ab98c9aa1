//! `snapshots verify`, on a server that runs.

use dormouse_harness::eventually;
use serde_json::Value;
use tempfile::TempDir;

use super::{SOON, restock, run, server_in};

#[test]
fn snapshots_are_verified_on_a_server_that_runs() {
    let directory = TempDir::new().unwrap();
    let server = server_in(directory.path()).set("snapshots.strategy=every_n").set("snapshots.threshold=1").start();
    restock(&server, 1);
    let verify = |arguments: &[&str]| run(&[&["snapshots", "verify", "--server", &server.url()], arguments].concat());
    // Snapshots are written after the commits.
    let found = eventually("the snapshot is there", SOON, || {
        let ended = verify(&["inventory", "--all", "--json"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        let found: Value = serde_json::from_str(&ended.stdout).unwrap();
        (found[0]["snapshots"] == 1).then_some(found)
    });
    assert_eq!((&found[0]["aggregate"], &found[0]["is_all"]), (&"inventory".into(), &true.into()), "{found}");
    let output = verify(&[]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stdout.contains("inventory: 1 snapshots of 1 aggregates, all there are: none differs"),
        "{output:?}"
    );
    let wrong = verify(&["inventorry"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("did you mean \"inventory\"?"), "{wrong:?}");
}

//! The audit log as operators use it: a server that keeps one, and the commands that list, verify and export it.

use std::fs;
use std::path::PathBuf;

use dormouse_harness::{Server, TokenIssuer, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ended, SOON, run_in, server_in};

/// A server with an audit log, and the files of its operator.
struct Site {
    directory: TempDir,
    issuer: TokenIssuer,
    server: Server,
}

/// The settings of the log, as the server and the commands have them.
const SETTINGS: [&str; 3] = ["audit.enabled=true", "audit.directory=audit", "audit.key=secrets/audit.key"];

impl Site {
    fn start() -> Self {
        let (directory, issuer) = (TempDir::new().unwrap(), TokenIssuer::new("k-1"));
        fs::write(directory.path().join("token.txt"), issuer.token("ada", &["admin"])).unwrap();
        let settings = issuer.settings().into_iter().chain(SETTINGS.map(str::to_owned));
        let settings = settings.chain(["auth.api_keys=keys.json".to_owned()]);
        let server = settings.fold(server_in(directory.path()), |builder, set| builder.set(set)).start();
        Self { directory, issuer, server }
    }

    /// Changes something as an operator.
    #[track_caller]
    fn change(&self) {
        let arguments = ["config", "set", "cache.entries=9000", "--server", &self.server.url(), "--token", "token.txt"];
        let ended = run_in(self.directory.path(), &arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Runs a command of `audit` with the settings of the server.
    fn audit(&self, arguments: &[&str]) -> Ended {
        let settings = SETTINGS.iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = ["audit"].into_iter().chain(arguments.iter().copied()).chain(settings).collect();
        run_in(self.directory.path(), &arguments)
    }

    #[track_caller]
    fn printed(&self, arguments: &[&str]) -> String {
        let ended = self.audit(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// The entries as objects.
    fn entries(&self) -> Vec<Value> {
        self.printed(&["list", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn wait_for(&self, action: &str) -> Value {
        eventually(action, SOON, || self.entries().into_iter().rfind(|entry| entry["action"] == action))
    }

    fn stop(&mut self) {
        self.server.terminate();
        assert!(self.server.wait(SOON).success());
    }

    fn segment(&self) -> PathBuf {
        self.directory.path().join("audit/audit-000001.jsonl")
    }
}

#[test]
fn changes_by_operators_are_listed_verified_and_exported() {
    let mut site = Site::start();
    site.change();
    let changes: Vec<_> = site.entries().into_iter().filter(|entry| entry["operation"] == "config.change").collect();
    let outcomes: Vec<_> = changes.iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(outcomes, ["intended", "done"]);
    assert_eq!((&changes[1]["who"]["subject"], &changes[1]["status"]), (&json!("ada"), &json!(200)));
    assert_eq!(changes[1]["details"]["cache.entries"], "5000 -> 9000");
    assert!(changes[0]["request_id"].is_string() && changes[0]["request_id"] == changes[1]["request_id"]);
    let listed = site.printed(&["list", "--subject", "ada", "--since", "1h"]);
    assert!(
        listed.contains("admin-action  config.change  done (200)  ada  127.0.0.1  PATCH /admin/config"),
        "{listed}"
    );
    assert_eq!(site.printed(&["list", "--limit", "1"]).lines().count(), 1);
    assert_eq!(site.printed(&["list", "--subject", "nobody"]), "");

    // The commands work beside the server, and after it.
    assert!(site.printed(&["verify"]).contains("are as they were written"));
    site.wait_for("login");
    site.stop();
    let entries = site.entries();
    assert_eq!(
        (&entries[0]["action"], &entries[entries.len() - 1]["action"]),
        (&json!("server-started"), &json!("server-stopped"))
    );
    let head = site.printed(&["head"]);
    let head = head.trim();
    assert!(site.server.logs().contains(head), "the server tells its last head");
    let verified = site.printed(&["verify", "--head", head]);
    assert!(verified.contains(&format!("entry {} is that of the anchored head", entries.len())), "{verified}");
    let exported = site.printed(&["export", "all.jsonl"]);
    assert!(exported.contains(&format!("exported {} entries", entries.len())) && exported.contains(head), "{exported}");
    let lines = fs::read_to_string(site.directory.path().join("all.jsonl")).unwrap();
    assert_eq!(lines, format!("{}{{\"head\":\"{head}\"}}\n", fs::read_to_string(site.segment()).unwrap()));
    assert_eq!(site.printed(&["export", "-"]), lines);
    assert!(site.audit(&["export", "all.jsonl"]).stderr.contains("File exists"));
}

#[test]
fn whatever_is_done_to_the_files_makes_verify_fail() {
    let mut site = Site::start();
    site.change();
    site.wait_for("login");
    site.stop();
    let (head, path) = (site.printed(&["head"]).trim().to_owned(), site.segment());
    let intact = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = intact.split_inclusive('\n').collect();
    assert!(lines.len() >= 5);
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    let (mut moved, last) = (lines.clone(), lines.len() - 1);
    moved.swap(1, 2);
    for (what, text, said) in [
        ("another subject", intact.replace("\"ada\"", "\"eve\""), "is not what was written"),
        ("moved lines", moved.concat(), "lines were removed, added or moved"),
        ("a removed line", without(2), "entry 3 is expected here, and there is entry 4"),
        ("a line twice", format!("{intact}{}", lines[1]), "lines were removed, added or moved"),
        ("an invented line", format!("{intact}{{}}\n"), "this is no entry of the log"),
        ("a cut", without(last), "its end was cut"),
        ("a cut within a line", intact[..intact.len() - 10].to_owned(), "its end was cut"),
    ] {
        fs::write(&path, text).unwrap();
        let refused = site.audit(&["verify", "--head", &head]);
        assert_eq!(refused.code, Some(1), "{what}: {refused:?}");
        assert!(refused.stderr.contains(said) && refused.stdout.is_empty(), "{what}: {refused:?}");
    }
    // A server does not write behind what was changed.
    fs::write(&path, moved.concat()).unwrap();
    let refused = site.server.try_restart().unwrap_err();
    assert!(refused.logs().contains("dormouse: audit: the audit log in audit is damaged: "), "{refused}");
    fs::write(&path, &intact).unwrap();
    assert!(site.printed(&["verify", "--head", &head]).contains("are as they were written"));
    for (arguments, code, said) in [
        (&["verify", "--head", "12"][..], 2, "a head is a number, a colon"),
        (&["list", "--since", "yesterday"], 2, "use a time such as"),
    ] {
        let refused = site.audit(arguments);
        assert!(refused.code == Some(code) && refused.stderr.contains(said), "{arguments:?}: {refused:?}");
    }
    fs::remove_file(site.directory.path().join("secrets/audit.key")).unwrap();
    assert!(site.audit(&["verify"]).stderr.contains("the key of the log is missing"));
    fs::rename(site.directory.path().join("audit"), site.directory.path().join("elsewhere")).unwrap();
    let refused = site.audit(&["head"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("there is no audit log in audit"), "{refused:?}");
}

#[test]
fn keys_that_come_and_go_and_reloads_are_noted_and_no_secret_is_in_the_log() {
    let mut site = Site::start();
    let keys = |arguments: &[&str]| {
        let ended = run_in(site.directory.path(), &[&["keys"], arguments, &["--file", "keys.json"]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let key = keys(&["create", "ops", "--permission", "admin.*"]).trim().to_owned();
    let id = key.split('_').nth(1).unwrap();
    site.server.signal_reload();
    assert_eq!(site.wait_for("api-keys-changed")["details"], json!({"added": id}));
    assert_eq!(site.wait_for("reloaded")["outcome"], "done");
    fs::write(site.directory.path().join("token.txt"), &key).unwrap();
    site.change();
    let change = site.wait_for("admin-action");
    assert_eq!((&change["who"]["subject"], &change["who"]["key"]), (&json!("key:ops"), &json!(id)));
    keys(&["revoke", "ops"]);
    site.server.signal_reload();
    eventually("the key is gone", SOON, || site.wait_for("api-keys-changed")["details"] == json!({"removed": id}));

    let token = site.issuer.token("ada", &["admin"]);
    fs::write(site.directory.path().join("token.txt"), &token).unwrap();
    site.change();
    site.stop();
    let log = fs::read_to_string(site.segment()).unwrap();
    for secret in [&key, &token] {
        assert!(!log.contains(&secret[secret.len() - 16..]), "{log}");
    }
    let audit_key = fs::read_to_string(site.directory.path().join("secrets/audit.key")).unwrap();
    assert!(!site.server.logs().contains(audit_key.trim()));
}

#[test]
fn two_servers_do_not_write_one_log_and_the_profile_production_keeps_one() {
    let site = Site::start();
    let second = SETTINGS.iter().fold(server_in(site.directory.path()), |builder, set| builder.set(*set));
    let refused = second.journal("memory:").try_start().err().unwrap();
    assert!(refused.logs().contains("another process writes the audit log"), "{refused}");
    let printed = run_in(site.directory.path(), &["config", "print", "--profile", "production"]).stdout;
    assert!(printed.contains("enabled = true # profile production"), "{printed}");
}

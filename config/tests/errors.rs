//! The configurations that are refused, and the line that the operator reads.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

use std::{env, fs, process};

use dormouse_config::{Config, Sources, load};

fn refusal(sources: &Sources) -> String {
    let line = load(sources).unwrap_err().to_string();
    assert!(!line.contains('\n'), "one line: {line}");
    line
}

fn set(assignments: &[&str]) -> String {
    let own = |text: &&str| (*text).to_owned();
    refusal(&Sources { overrides: assignments.iter().map(own).collect(), ..Sources::default() })
}

fn variable(name: &str, value: &str) -> String {
    refusal(&Sources { environment: vec![(name.to_owned(), value.to_owned())], ..Sources::default() })
}

/// The refusal of a file, with `FILE` for its path.
fn file(name: &str, text: &str) -> String {
    let path = env::temp_dir().join(format!("dormouse-config-{}-{name}.toml", process::id()));
    fs::write(&path, text).unwrap();
    let line = refusal(&Sources { file: Some(path.clone()), ..Sources::default() });
    fs::remove_file(&path).unwrap();
    line.replace(path.to_str().unwrap(), "FILE")
}

#[test]
fn an_unknown_profile_names_the_known_ones() {
    assert_eq!(
        refusal(&Sources { profile: Some("prod".into()), ..Sources::default() }),
        "unknown profile `prod`, the profiles are development, production, enterprise"
    );
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_one() {
    assert_eq!(
        variable("DORMOUSE__GATEWAY__LISTN", "x"),
        "environment DORMOUSE__GATEWAY__LISTN: unknown key `gateway.listn`, the nearest known key is `gateway.listen`"
    );
    assert_eq!(
        set(&["runtime.shard=1"]),
        "--set: unknown key `runtime.shard`, the nearest known key is `runtime.shards`"
    );
    assert_eq!(
        file("unknown", "# mine\n[log]\nlevel = 'info'\n\nfromat = 'text'\n"),
        "file FILE:5: unknown key `log.fromat`, the nearest known key is `log.format`"
    );
    assert_eq!(
        file("section", "[comands]\ntimeout = '1s'\n"),
        "file FILE:2: unknown key `comands.timeout`, the nearest known key is `commands.timeout`"
    );
    assert_eq!(
        file("nested", "journal.postgres.connection_max = 1"),
        "file FILE:1: unknown key `journal.postgres.connection_max`, the nearest known key is `journal.postgres.connections_max`"
    );
}

#[test]
fn odd_keys_are_unknown_rather_than_mistaken_for_known_ones() {
    for assignment in ["=1", ".=1", "gateway.=1", "gateway.listen.x=1", "journal.postgres.x.y=1", "Gateway.listen=1"] {
        assert!(set(&[assignment]).contains("unknown key"), "{assignment}");
    }
    assert!(file("quoted", "'gateway.listen' = '127.0.0.1:1'").contains("unknown key `\"gateway.listen\"`"));
    assert!(file("empty", "[gatewai]\n").contains("unknown key `gatewai`"));
    assert!(variable("DORMOUSE__", "1").contains("unknown key"));
    assert!(variable("DORMOUSE__GATEWAY.LISTEN", "127.0.0.1:1").contains("unknown key"));
}

#[test]
fn a_section_is_no_value() {
    assert_eq!(
        variable("DORMOUSE__JOURNAL", "memory:"),
        "environment DORMOUSE__JOURNAL: `journal` is a section, not a value: set one of its keys, such as `journal.url`"
    );
    assert!(file("array", "[[journal]]\nurl = 'memory:'\n").starts_with("file FILE:1: `journal` is a section"));
}

#[test]
fn a_wrong_value_names_key_value_origin_and_what_is_expected() {
    assert_eq!(
        variable("DORMOUSE__RUNTIME__SHARDS", "many"),
        "environment DORMOUSE__RUNTIME__SHARDS: runtime.shards = \"many\" is refused, expected a whole number from 1 to 4294967295"
    );
    assert_eq!(
        file("value", "[commands]\ntimeout = 30\n"),
        "file FILE:2: commands.timeout = 30 is refused, expected a duration with its unit, such as \"200ms\", \"30s\" or \"90d\""
    );
    assert_eq!(
        set(&["log.format=xml"]),
        "--set: log.format = \"xml\" is refused, expected one of `auto`, `text`, `json`"
    );
}

#[test]
fn every_kind_of_bad_value_is_refused_with_what_is_expected() {
    for (assignment, expected) in [
        ("gateway.listen=localhost", "a numeric address with a port"),
        ("gateway.listen=0.0.0.0:8080", "a loopback address while auth.mode is \"none\""),
        ("gateway.allow_unauthenticated=yes", "true or false"),
        ("gateway.max_connections=0", "a whole number from 1"),
        ("gateway.max_connections=-1", "a whole number from 1"),
        ("gateway.max_connections=1.5", "a whole number from 1"),
        ("gateway.max_body=1000", "a size with its unit"),
        ("gateway.max_body=lots", "a size with its unit"),
        ("gateway.max_body=0 B", "a size larger than zero"),
        ("cache.enabled=perhaps", "true or false"),
        ("cache.ttl=0s", "a duration longer than zero"),
        ("cache.entries=0", "a whole number from 1"),
        ("cache.size=0 B", "a size larger than zero"),
        ("gateway.request_timeout=35", "a duration with its unit"),
        ("gateway.request_timeout=", "a duration with its unit"),
        ("gateway.header_timeout=0s", "a duration longer than zero"),
        ("gateway.stream_heartbeat=99ms", "at least 100ms"),
        ("gateway.max_streams=0", "a whole number from 1"),
        ("gateway.hosts=shop.example.org", "a list"),
        ("gateway.hosts=[\"shop:8080\"]", "a host name without a port"),
        ("auth.mode=basic", "`none` or `jwt`"),
        ("journal.url=mysql://db", "\"sqlite://DIRECTORY\""),
        ("journal.url=./data", "\"sqlite://DIRECTORY\""),
        ("journal.batch_events=5000", "1 to 1024"),
        ("journal.event_size_max=1 TiB", "1 B to 256"),
        ("journal.postgres.connections_min=-1", "a whole number from 0"),
        ("journal.postgres.lock_timeout=0s", "1ms to 24d"),
        ("journal.postgres.statement_timeout=100d", "1ms to 24d"),
        ("journal.replicas=postgres://db/x", "a list"),
        ("views.url=./views", "\"journal\", \"sqlite://DIRECTORY\""),
        ("views.replicas=[\"sqlite://x\"]", "\"postgres://user:password@host/database\""),
        ("views.read_connections=0", "a whole number from 1"),
        ("views.wait_timeout=5", "a duration with its unit"),
        ("projections.workers=0", "a whole number from 1"),
        ("projections.batch_events=65537", "1 to 65536"),
        ("projections.cache=32", "a size with its unit"),
        ("projections.poison_attempts=0", "a whole number from 1"),
        ("projections.stalled_after=0s", "a duration longer than zero"),
        ("snapshots.strategy=sometimes", "`every_n`"),
        ("runtime.shards=0", "a whole number from 1"),
        ("runtime.shards=1025", "1 to 1024"),
        ("log.level=loud", "`info`"),
        ("log.level=[\"info\"]", "log.level = \"[\\\"info\\\"]\""),
    ] {
        let line = set(&[assignment]);
        let key = assignment.split_once('=').unwrap().0;
        assert!(line.starts_with(&format!("--set: {key} = ")) && line.contains(expected), "{line}");
    }
}

#[test]
fn values_that_contradict_each_other_are_both_named() {
    assert_eq!(
        variable("DORMOUSE__COMMANDS__TIMEOUT", "60s"),
        "default: gateway.request_timeout = \"35s\" is refused, expected more than commands.timeout = \"60s\" \
         (environment DORMOUSE__COMMANDS__TIMEOUT)"
    );
    for (assignment, other) in [
        ("gateway.header_timeout=36s", "at most gateway.request_timeout = \"35s\" (default)"),
        ("gateway.page_size=2000", "at most gateway.page_size_max = 1000 (default)"),
        ("journal.index_tail_events=10", "at least journal.batch_events = 1024 (default)"),
        ("journal.index_tail=1 KiB", "at least journal.event_size_max = \"1 MiB\" (default)"),
        ("journal.postgres.connections_min=21", "at most journal.postgres.connections_max = 20 (default)"),
        ("journal.postgres.lock_timeout=6s", "at most journal.postgres.statement_timeout = \"5s\" (default)"),
        (
            "journal.replicas=[\"postgres://h/d\"]",
            "none without PostgreSQL in journal.url = \"sqlite://./data\" (default)",
        ),
        ("views.replicas=[\"postgres://h/d\"]", "none without PostgreSQL in views.url = \"journal\" (default)"),
        ("admission.per_aggregate=20000", "at most admission.per_node = 16384 (default)"),
        ("supervision.backoff_min=1m", "at most supervision.backoff_max = \"30s\" (default)"),
    ] {
        let line = set(&[assignment]);
        assert!(line.ends_with(&format!("is refused, expected {other}")), "{line}");
    }
}

#[test]
fn an_open_address_is_accepted_when_asked_for() {
    let overrides = vec!["gateway.listen=0.0.0.0:80".into(), "gateway.allow_unauthenticated=true".into()];
    load(&Sources { overrides, ..Sources::default() }).unwrap();
}

#[test]
fn replicas_are_accepted_where_postgresql_is() {
    let replica = "[\"postgres://app:hunter2@db-2/x\"]";
    let overrides = vec![
        "journal.url=postgres://app@db/x".into(),
        format!("journal.replicas={replica}"),
        format!("views.replicas={replica}"),
    ];
    let loaded = load(&Sources { overrides, ..Sources::default() }).unwrap();
    assert_eq!(loaded.config.views.replicas[0].expose(), "postgres://app:hunter2@db-2/x");
    assert_eq!(loaded.config.journal.replicas.len(), 1);
    assert!(!loaded.to_toml().contains("hunter2"), "{}", loaded.to_toml());
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn refused_secrets_are_masked() {
    let url = "postgrs://app:hunter2@db/x";
    for line in [
        set(&[&format!("journal.url={url}")]),
        set(&[&format!("journal.url=[\"{url}\"]")]),
        set(&[&format!("views.url={url}")]),
        set(&[&format!("views.replicas=[\"{url}\"]")]),
        set(&[&format!("runtime.shards={url}")]),
        set(&[&format!("log.level={url}")]),
        set(&[&format!("journal.url{url}")]),
        set(&[&format!("journal={url}")]),
        set(&[&format!("journal.url:{url}?a=b")]),
        variable("DORMOUSE__JOURNAL__URL", url),
        file("secret", &format!("journal.url = '{url}'")),
        file("syntax", &format!("journal.url = {url}")),
    ] {
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_set_without_a_value_names_the_expected_form() {
    assert_eq!(set(&["runtime.shards"]), "--set runtime.shards: expected section.key=value");
}

#[test]
fn broken_toml_names_line_and_column() {
    let line = file("broken", "[log]\nlevel = 'info'\nformat = \n");
    assert!(line.starts_with("file FILE:3:10: not valid TOML: "), "{line}");
    let line = file("twice", "[log]\nlevel = 'info'\nlevel = 'info'\n");
    assert!(line.starts_with("file FILE:3:1: not valid TOML: duplicate key"), "{line}");
}

#[test]
fn a_value_with_line_breaks_is_refused_on_one_line() {
    assert!(set(&["log.level=a\nb"]).contains(r#"log.level = "a\nb""#));
    assert!(file("lines", "[log]\nlevel = '''a\nb'''\n").contains(r#"log.level = "a\nb""#));
}

#[test]
fn a_configuration_changed_in_code_can_be_validated() {
    let mut config = Config::embedded();
    config.commands.timeout = config.gateway.request_timeout;
    let violation = config.validate().unwrap_err();
    assert_eq!(violation.to_string(), "gateway.request_timeout: expected more than commands.timeout");
}

#[test]
fn hosting_needs_what_its_choices_need() {
    let line = set(&["hosting.adapter=command"]);
    assert!(line.ends_with(r#"expected a program and its arguments, because hosting.adapter is "command""#), "{line}");
    let line = set(&["hosting.smtp_url=smtps://ada:hunter2@mail.example.org"]);
    assert!(line.ends_with("expected an e-mail address, because hosting.smtp_url is set"), "{line}");
    let line = set(&["hosting.smtp_url=http://ada:hunter2@mail.example.org"]);
    assert!(line.contains("smtps://user:password@host") && !line.contains("hunter2"), "{line}");
    let line = set(&["hosting.command_timeout=0s"]);
    assert!(line.ends_with("expected a duration longer than zero"), "{line}");
    set(&["modules.enabled=commerce"]);
}

#[test]
fn a_certificate_needs_its_key_and_the_key_its_certificate() {
    let file = "a file, because there is one in";
    assert_eq!(
        set(&["gateway.tls.certificate=server.pem"]),
        format!(
            "default: gateway.tls.key = \"\" is refused, expected {file} gateway.tls.certificate = \"server.pem\" (--set)"
        )
    );
    for (settings, key) in [
        (["gateway.tls.key=server.key"], "gateway.tls.certificate"),
        (["gateway.tls.client_ca=clients.pem"], "gateway.tls.certificate"),
        (["gateway.tls.handshake_timeout=0s"], "gateway.tls.handshake_timeout"),
    ] {
        let refused = set(&settings);
        assert!(refused.contains(&format!("{key} = ")), "{refused}");
    }
}

#[test]
fn an_issuer_needs_a_name_an_audience_and_keys() {
    let issuer = ["auth.mode=jwt", "auth.jwt.issuer=https://issuer.example"];
    let with = |more: &[&'static str]| [&issuer[..], more].concat();
    let audience = r#"auth.jwt.audience=["shop"]"#;
    for (settings, said) in [
        (vec!["auth.mode=jwt"], "expected the name of an issuer while auth.mode is \"jwt\""),
        (with(&[]), "auth.jwt.audience = an array is refused, expected in auth.jwt at least one name of this server"),
        (with(&[audience]), "auth.jwt.public_key = \"\" is refused, expected in auth.jwt either a public_key or jwks"),
        (with(&[audience, "auth.jwt.public_key=a.pem", "auth.jwt.jwks=b.json"]), "either a public_key or jwks"),
        (with(&[audience, "auth.jwt.jwks=http://login.example.org/keys"]), "expected a file, \"https://host/path\""),
        (with(&[audience, "auth.jwt.public_key=a.pem", "auth.jwt.leeway=11m"]), "a leeway of at most 10m"),
        (
            with(&[audience, "auth.jwt.public_key=a.pem", "auth.issuers={x={issuer='y',audience=['z']}}"]),
            "in auth.issuers.x",
        ),
        (
            with(&[
                audience,
                "auth.jwt.public_key=a.pem",
                "auth.issuers={x={issuer='https://issuer.example',audience=['z']}}",
            ]),
            "in auth.issuers.x a name that no other issuer has",
        ),
        (vec!["auth.issuers={x={isuer='y'}}"], "auth.issuers"),
        (vec!["permissions.commands={CreateOrder='user'}"], "permissions.commands"),
    ] {
        let refused = set(&settings);
        assert!(refused.contains(said), "{settings:?}: {refused}");
    }
}

#[test]
fn the_key_of_the_audit_log_is_not_beside_the_log() {
    let line = set(&["audit.key=./data/audit/key"]);
    assert_eq!(
        line,
        "--set: audit.key = \"./data/audit/key\" is refused, expected a file that is not in audit.directory = \
         \"./data/audit\" (default)"
    );
    for size in ["1 KiB", "2 TiB"] {
        let line = set(&[&format!("audit.max_size={size}")]);
        assert!(line.contains("expected"), "{line}");
    }
}

//! The invariants of the architecture that the workspace's files can show.
//!
//! A failure names file and line. To change an invariant, change it in ARCHITECTURE.md and here.

#[path = "architecture/code.rs"]
mod code;
#[path = "architecture/workspace.rs"]
mod workspace;

use std::path::Path;

use code::{mentions, public_items, types_imported_from};
use workspace::{Findings, Manifest, Source, manifests, markdown_files, rust_sources, top_level, workspace_manifest};

const TOP_LEVEL_FOLDERS: [&str; 8] =
    ["aggregates", "benches", "config", "docs", "gateway", "projections", "runtime", "tests"];

/// Each crate, and the crates of the workspace it may import.
const IMPORTS: [(&str, &[&str]); 14] = [
    ("dormouse-config", &[]),
    ("dormouse-kernel", &[]),
    ("dormouse-storage", &["dormouse-config"]),
    ("dormouse-encryption", &["dormouse-kernel", "dormouse-config", "dormouse-storage"]),
    ("dormouse-journal", &["dormouse-kernel", "dormouse-config", "dormouse-storage", "dormouse-encryption"]),
    ("dormouse-engine", &["dormouse-kernel", "dormouse-config", "dormouse-encryption", "dormouse-journal"]),
    ("dormouse-messaging", &["dormouse-kernel", "dormouse-config", "dormouse-storage", "dormouse-journal"]),
    (
        "dormouse-projections",
        &["dormouse-kernel", "dormouse-config", "dormouse-storage", "dormouse-encryption", "dormouse-journal"],
    ),
    ("dormouse-aggregates", &["dormouse-kernel"]),
    ("dormouse-views", &["dormouse-projections", "dormouse-aggregates", "dormouse-kernel"]),
    ("dormouse-audit", &[]),
    ("dormouse-auth", &["dormouse-config"]),
    ("dormouse-limits", &["dormouse-config"]),
    (
        "dormouse",
        &[
            "dormouse-audit",
            "dormouse-auth",
            "dormouse-limits",
            "dormouse-config",
            "dormouse-kernel",
            "dormouse-storage",
            "dormouse-encryption",
            "dormouse-journal",
            "dormouse-engine",
            "dormouse-messaging",
            "dormouse-projections",
            "dormouse-aggregates",
            "dormouse-views",
        ],
    ),
];

/// The crates in these folders may import all crates.
const TEST_FOLDERS: [&str; 2] = ["tests", "benches"];

#[test]
fn the_top_level_folders_are_fixed() {
    let mut findings = Findings::default();
    for folder in top_level() {
        if !TOP_LEVEL_FOLDERS.contains(&folder.as_str()) {
            findings.add(Path::new(&folder), 0, "is not one of the fixed folders");
        }
    }
    findings.expect_none("the top-level folders are fixed");
}

#[test]
fn a_crate_imports_only_what_its_layer_may() {
    let mut findings = Findings::default();
    for manifest in product_manifests() {
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == manifest.name) else {
            findings.add(&manifest.path, 0, "has no line in the table of imports");
            continue;
        };
        for dependency in &manifest.dependencies {
            let name = dependency.name.as_str();
            let is_ours = name == "dormouse" || name.starts_with("dormouse-");
            if is_ours && !allowed.contains(&name) {
                let what = format!("{} may not import {name}", manifest.name);
                findings.add(&manifest.path, dependency.line, &what);
            }
        }
    }
    findings.expect_none("a crate imports only what its layer may");
}

#[test]
fn sql_is_spoken_only_where_rows_are_kept() {
    let speakers =
        ["dormouse-storage", "dormouse-encryption", "dormouse-journal", "dormouse-messaging", "dormouse-projections"];
    let rule = "SQL is spoken only in storage, encryption, journal, messaging and projections";
    only(rule, &speakers, &["sqlx", "rusqlite"]);
}

#[test]
fn http_is_spoken_only_in_the_gateway() {
    let libraries = ["axum", "hyper", "hyper-util", "http", "http-body-util", "tower", "tower-http"];
    only("HTTP is spoken only in the gateway", &["dormouse"], &libraries);
}

#[test]
fn json_is_spoken_only_in_the_gateway_by_views_and_where_they_are_encrypted() {
    let speakers = [
        "dormouse",
        "dormouse-audit",
        "dormouse-auth",
        "dormouse-encryption",
        "dormouse-projections",
        "dormouse-views",
    ];
    only("JSON is spoken only in the gateway, by views, and where they are encrypted", &speakers, &["serde_json"]);
}

#[test]
fn ractor_is_known_only_where_actors_are() {
    let knowing = ["dormouse-engine", "dormouse-projections"];
    only("ractor is known only where actors are", &knowing, &["ractor"]);
}

#[test]
fn a_public_signature_names_no_ractor_type() {
    let mut findings = Findings::default();
    for source in rust_sources() {
        if !source.is_in("runtime/engine/src") && !source.is_in("projections/pool/src") {
            continue;
        }
        let mut names = types_imported_from("ractor", &source.product);
        names.push("ractor".to_owned());
        for (line, item) in public_items(&source.product) {
            if let Some(name) = names.iter().find(|name| !mentions(item, name).is_empty()) {
                let what = format!("`{name}` in a public signature; `pub(crate)` hides it");
                findings.add(&source.path, line, &what);
            }
        }
    }
    findings.expect_none("a public signature names no ractor type");
}

#[test]
fn the_kernel_does_no_io() {
    let mut findings = Findings::default();
    for manifest in manifests().iter().filter(|manifest| manifest.name == "dormouse-kernel") {
        for dependency in &manifest.dependencies {
            let name = dependency.name.as_str();
            if name.starts_with("tokio") || name.starts_with("async-") || name.starts_with("futures") {
                findings.add(&manifest.path, dependency.line, &format!("imports {name}"));
            }
        }
    }
    let devices = ["std::fs", "std::net", "std::process", "thread::spawn", "thread::sleep", "tokio"];
    // Failpoints end the process, but exist only in tests.
    for source in sources_in("runtime/kernel/src").filter(|source| !source.path.ends_with("failpoint.rs")) {
        findings.add_mentions(&source.path, &source.product, &devices);
    }
    findings.expect_none("the kernel does no I/O");
}

#[test]
fn aggregates_never_await_nor_read_a_clock_nor_draw_randomness() {
    let forbidden = [
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "Uuid::new_v4",
        "Uuid::now_v7",
        "rand",
        "getrandom",
        "async",
        ".await",
    ];
    let mut findings = Findings::default();
    for source in sources_in("aggregates/src") {
        findings.add_mentions(&source.path, &source.code, &forbidden);
    }
    findings.expect_none("aggregates never await, never read a clock, never draw randomness");
}

#[test]
fn the_environment_is_read_only_in_config() {
    let readers = ["env::var", "env::var_os", "env::vars", "env::vars_os", "from_default_env"];
    let mut findings = Findings::default();
    for source in rust_sources() {
        if !source.is_in("config") && !source.is_test() {
            findings.add_mentions(&source.path, &source.product, &readers);
        }
    }
    for manifest in product_manifests() {
        for dependency in &manifest.dependencies {
            if dependency.name == "clap" && dependency.features.iter().any(|name| name == "env") {
                let what = "clap's feature `env` reads the environment";
                findings.add(&manifest.path, dependency.line, what);
            }
        }
    }
    findings.expect_none("the environment is read only in config");
}

#[test]
fn a_module_with_parts_is_a_file_beside_their_folder() {
    let mut findings = Findings::default();
    for source in rust_sources() {
        if source.path.ends_with("mod.rs") {
            findings.add(&source.path, 0, "`foo.rs` beside `foo/` instead of `foo/mod.rs`");
        }
    }
    findings.expect_none("a module with parts is a file beside their folder");
}

#[test]
fn nothing_is_unsafe() {
    let mut findings = Findings::default();
    for source in rust_sources() {
        findings.add_mentions(&source.path, &source.code, &["unsafe"]);
    }
    findings.expect_none("nothing is unsafe");
}

#[test]
fn a_release_notices_sums_that_overflow() {
    let release = &workspace_manifest()["profile"]["release"];
    assert_eq!(release["overflow-checks"].as_bool(), Some(true), "a sum that wraps is a wrong balance for ever");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut findings = Findings::default();
    for manifest in manifests() {
        if !manifest.takes_workspace_lints {
            findings.add(&manifest.path, 0, "lacks `[lints] workspace = true`");
        }
    }
    findings.expect_none("every crate takes the lints of the workspace");
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut findings = Findings::default();
    for page in markdown_files() {
        for (line, target) in page.links() {
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !is_elsewhere && !page.leads_somewhere(target) {
                findings.add(&page.path, line, &format!("`{target}` does not exist"));
            }
        }
    }
    findings.expect_none("every relative link leads to a file");
}

/// Of the product's crates, only `crates` import `libraries`.
#[track_caller]
fn only(rule: &str, crates: &[&str], libraries: &[&str]) {
    let mut findings = Findings::default();
    for manifest in product_manifests() {
        for dependency in &manifest.dependencies {
            let name = dependency.name.as_str();
            if libraries.contains(&name) && !crates.contains(&manifest.name.as_str()) {
                let what = format!("{} imports {name}", manifest.name);
                findings.add(&manifest.path, dependency.line, &what);
            }
        }
    }
    findings.expect_none(rule);
}

fn product_manifests() -> impl Iterator<Item = &'static Manifest> {
    let manifests = manifests().iter();
    manifests.filter(|manifest| !TEST_FOLDERS.iter().any(|folder| manifest.path.starts_with(folder)))
}

fn sources_in(folder: &str) -> impl Iterator<Item = &'static Source> {
    rust_sources().iter().filter(move |source| source.is_in(folder))
}

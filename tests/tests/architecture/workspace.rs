//! The files of the workspace, read once: manifests, Rust sources, Markdown pages.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::{Table, Value};

use crate::code::{line_at, mentions, without_comments_and_literals, without_tests};

/// A crate's `Cargo.toml`.
pub(crate) struct Manifest {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// Without dev-dependencies.
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) takes_workspace_lints: bool,
}

pub(crate) struct Dependency {
    /// The package's name, also if it was renamed.
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    pub(crate) line: usize,
}

/// A Rust file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Its text with comments and literals blanked; lines and columns are the file's.
    pub(crate) code: String,
    /// `code` with everything under `#[cfg(test)]` blanked.
    pub(crate) product: String,
}

/// A Markdown file.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    text: String,
}

/// Violations of a rule, and their places.
#[derive(Default)]
pub(crate) struct Findings(String);

pub(crate) fn manifests() -> &'static [Manifest] {
    static MANIFESTS: LazyLock<Vec<Manifest>> = LazyLock::new(|| {
        let shared = workspace_manifest();
        let shared = shared["workspace"]["dependencies"].as_table();
        let shared = shared.expect("the workspace lists its dependencies");
        let paths = files().iter().filter(|path| path.ends_with("Cargo.toml"));
        paths.filter_map(|path| Manifest::read(path, shared)).collect()
    });
    &MANIFESTS
}

/// The manifest of the workspace, which contains the profiles.
pub(crate) fn workspace_manifest() -> Table {
    table(&read(Path::new("Cargo.toml")))
}

pub(crate) fn rust_sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let sources = with_extension("rs").map(|path| {
            let code = without_comments_and_literals(&read(path));
            Source { path: path.clone(), product: without_tests(&code), code }
        });
        sources.collect()
    });
    &SOURCES
}

pub(crate) fn markdown_files() -> Vec<Page> {
    let pages = with_extension("md").map(|path| Page { path: path.clone(), text: read(path) });
    pages.collect()
}

/// The folders at the top that are neither hidden nor ignored.
pub(crate) fn top_level() -> Vec<String> {
    let entries = children(Path::new(""));
    let folders = entries.filter(|path| root().join(path).is_dir());
    folders.map(|path| path.display().to_string()).collect()
}

impl Manifest {
    /// `None` for the workspace's own, which has no package.
    fn read(path: &Path, shared: &Table) -> Option<Self> {
        let text = read(path);
        let manifest = table(&text);
        let name = manifest.get("package")?["name"].as_str()?.to_owned();
        let takes_workspace_lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .is_some_and(|value| value.as_bool() == Some(true));

        let targets = manifest.get("target").and_then(Value::as_table);
        let targets = targets.into_iter().flat_map(Table::values);
        let places = targets.filter_map(Value::as_table).chain([&manifest]);
        let dependencies = places
            .flat_map(|place| [place.get("dependencies"), place.get("build-dependencies")])
            .flatten()
            .filter_map(Value::as_table)
            .flatten()
            .map(|(key, value)| Dependency::read(key, value, shared, &text))
            .collect();
        Some(Self { path: path.to_owned(), name, dependencies, takes_workspace_lints })
    }
}

impl Dependency {
    fn read(key: &str, value: &Value, shared: &Table, text: &str) -> Self {
        let is_shared = value.get("workspace").is_some();
        let shared = shared.get(key).filter(|_| is_shared);
        let package = [Some(value), shared].into_iter().flatten();
        let mut package = package.filter_map(|value| value.get("package")?.as_str());
        let features = [Some(value), shared].into_iter().flatten();
        let features = features.filter_map(|value| value.get("features")?.as_array());
        let starts_with_key = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        };
        Self {
            name: package.next_back().unwrap_or(key).to_owned(),
            features: features.flatten().filter_map(|feature| feature.as_str().map(str::to_owned)).collect(),
            line: text.lines().position(starts_with_key).map_or(0, |at| at + 1),
        }
    }
}

impl Source {
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Whether the whole file is test code: in `tests/`, in a crate's `tests` folder, or a module with that name.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.iter();
        parts.any(|part| part == "tests" || part == "tests.rs")
    }
}

impl Page {
    /// Targets of `[text](target)`, with their lines; not those in blocks or spans of code.
    pub(crate) fn links(&self) -> Vec<(usize, &str)> {
        let mut links = Vec::new();
        let mut is_code = false;
        for (index, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            }
            if is_code {
                continue;
            }
            for (at, _) in line.match_indices("](") {
                let is_span =
                    line[..at].matches('`').count() % 2 == 1 && line[at..].contains('`') && !line[..at].ends_with('`');
                let target = line[at + 2..].split([')', ' ']).next().unwrap_or_default();
                if !is_span {
                    links.push((index + 1, target));
                }
            }
        }
        links
    }

    /// Whether a relative target exists; one that begins with `/` counts from the top.
    pub(crate) fn leads_somewhere(&self, target: &str) -> bool {
        let path = target.split(['#', '?']).next().unwrap_or_default();
        let from = self.path.parent().unwrap_or(Path::new(""));
        match path.strip_prefix('/') {
            _ if path.is_empty() => true,
            Some(path) => root().join(path).exists(),
            None => root().join(from).join(path).exists(),
        }
    }
}

impl Findings {
    /// Line 0 stands for the whole file.
    pub(crate) fn add(&mut self, path: &Path, line: usize, what: &str) {
        let place = path.display();
        let written = match line {
            0 => writeln!(self.0, "{place}: {what}"),
            line => writeln!(self.0, "{place}:{line}: {what}"),
        };
        written.expect("a string takes everything");
    }

    pub(crate) fn add_mentions(&mut self, path: &Path, code: &str, forbidden: &[&str]) {
        for word in forbidden {
            for at in mentions(code, word) {
                self.add(path, line_at(code, at), &format!("`{word}`"));
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect_none(&self, rule: &str) {
        assert!(self.0.is_empty(), "{rule}; but:\n{}", self.0);
    }
}

fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ is in the workspace")
}

fn with_extension(extension: &'static str) -> impl Iterator<Item = &'static PathBuf> {
    let files = files().iter();
    files.filter(move |path| path.extension().is_some_and(|found| found == extension))
}

/// All files, relative to the root, sorted; without hidden and ignored ones.
fn files() -> &'static [PathBuf] {
    static FILES: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let mut files = Vec::new();
        let mut open = vec![PathBuf::new()];
        while let Some(folder) = open.pop() {
            for path in children(&folder) {
                let list = if root().join(&path).is_dir() { &mut open } else { &mut files };
                list.push(path);
            }
        }
        files.sort();
        files
    });
    &FILES
}

fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder can be read");
    let names = entries.map(|entry| entry.expect("an entry can be read").file_name());
    let names = names.filter(|name| !name.as_encoded_bytes().starts_with(b"."));
    let paths = names.map(|name| folder.join(name)).collect::<Vec<_>>();
    paths.into_iter().filter(|path| !is_ignored(path))
}

/// As .gitignore has it, which lists whole top-level folders only.
fn is_ignored(path: &Path) -> bool {
    static IGNORED: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let list = read(Path::new(".gitignore"));
        let entries = list.lines().filter_map(|line| line.strip_prefix('/'));
        entries.map(|entry| PathBuf::from(entry.trim_end_matches('/'))).collect()
    });
    IGNORED.iter().any(|ignored| path == ignored)
}

fn read(path: &Path) -> String {
    let read = fs::read_to_string(root().join(path));
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn table(text: &str) -> Table {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

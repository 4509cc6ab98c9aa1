//! A disk that fails on command: a library that is preloaded into the server and intercepts its system calls.
//!
//! The server and its SQLite are the shipped ones. They see what a kernel would return.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use tempfile::TempDir;

use crate::ServerBuilder;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/faulty_disk.c");

/// Sets the fault of one server's disk. There is one fault at a time; a new one replaces the one before.
#[derive(Debug)]
pub struct FaultyDisk {
    directory: TempDir,
}

/// The system calls that a fault affects.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// Syncing a file.
    Fsync,
    /// Writing to a file.
    Write,
}

/// The error that the program gets: a number of errno.h on Linux.
#[derive(Debug, Clone, Copy)]
pub enum Errno {
    /// The device failed.
    Io = 5,
    /// The device is full.
    NoSpace = 28,
    /// The file system is mounted read-only.
    ReadOnly = 30,
}

impl FaultyDisk {
    /// A disk without faults.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("dormouse-faulty-disk-").tempdir();
        Self { directory: directory.expect("a temporary directory can be created") }
    }

    /// From now on, such calls fail for files whose names have this ending.
    pub fn fail(&self, call: Call, file: &str, errno: Errno) {
        self.order(&format!("{} {} {file}", call.name(), errno as i32));
    }

    /// From now on, such calls wait for files whose names have this ending.
    pub fn hold(&self, call: Call, file: &str) {
        self.order(&format!("{} hold {file}", call.name()));
    }

    /// Removes the fault; calls that wait continue.
    pub fn heal(&self) {
        fs::remove_file(self.orders()).expect("there was an order");
    }

    /// The line that the server writes into its log when a call meets the fault.
    #[must_use]
    pub fn trace(call: Call, file: &str) -> String {
        format!("faulty disk: {} of {file}", call.name())
    }

    fn orders(&self) -> PathBuf {
        self.directory.path().join("orders")
    }

    fn order(&self, order: &str) {
        // A rename is atomic, so the library never reads half a file.
        let draft = self.directory.path().join("draft");
        fs::write(&draft, order).expect("a temporary directory can be written");
        fs::rename(draft, self.orders()).expect("a temporary directory can be written");
    }
}

impl Default for FaultyDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Write => "write",
        }
    }
}

impl ServerBuilder {
    /// Runs the server with this disk.
    #[must_use]
    pub fn on_faulty(self, disk: &FaultyDisk) -> Self {
        self.environment("LD_PRELOAD", library()).environment("FAULTY_DISK_ORDERS", disk.orders())
    }
}

/// Compiled when a test process first needs it, and stored beside the executable of that process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let executable = env::current_exe().expect("this process has an executable");
        let library = executable.with_extension("faulty_disk.so");
        // Several test processes may compile at the same time, each its own file.
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", SOURCE, "-ldl", "-o"])
            .arg(&library)
            .output()
            .expect("a C compiler can be run: `cc`");
        assert!(compiled.status.success(), "{SOURCE}: {}", String::from_utf8_lossy(&compiled.stderr));
        library
    })
}

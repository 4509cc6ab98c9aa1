//! The shipped domains end to end over HTTP: hosting with both adapters, the academy, and modules that are left out; and
//! routes of an application's own.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests do")]

#[path = "demo/academy.rs"]
mod academy;
#[path = "demo/access.rs"]
mod access;
#[path = "demo/audit.rs"]
mod audit;
#[path = "demo/hosting.rs"]
mod hosting;
#[path = "demo/limits.rs"]
mod limits;
#[path = "demo/modules.rs"]
mod modules;
#[path = "demo/own.rs"]
mod own;
#[path = "demo/owners.rs"]
mod owners;
#[path = "demo/routes.rs"]
mod routes;

use std::time::Duration;

use dormouse::{App, Config, JournalUrl, Running, StartError};
use dormouse_harness::{Answer, Client, eventually};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SOON: Duration = Duration::from_secs(30);

/// An application that runs inside the test, on a journal in memory.
struct World {
    runtime: Runtime,
    running: Option<Running>,
    client: Client,
    /// The files of the sites.
    directory: TempDir,
}

impl World {
    fn start(app: App, configure: impl FnOnce(&mut Config, &TempDir)) -> Self {
        Self::try_start(app, configure).unwrap()
    }

    fn try_start(app: App, configure: impl FnOnce(&mut Config, &TempDir)) -> Result<Self, StartError> {
        let directory = TempDir::new().unwrap();
        let mut config = Config::embedded();
        config.journal.url = JournalUrl::Memory;
        config.gateway.listen = "127.0.0.1:0".parse().unwrap();
        config.gateway.unready_for = Duration::ZERO;
        config.hosting.directory = directory.path().join("sites");
        config.hosting.backups = directory.path().join("backups");
        config.queues.default.backoff_min = Duration::from_millis(1);
        config.queues.default.backoff_max = Duration::from_millis(1);
        configure(&mut config, &directory);
        let runtime = Runtime::new().unwrap();
        let running = runtime.block_on(app.start(config))?;
        let client = Client::new(format!("http://{}", running.address()));
        Ok(Self { runtime, running: Some(running), client, directory })
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Posts on behalf of a caller.
    #[track_caller]
    fn post_as(&self, caller: &str, path: &str, body: &Value) -> Answer {
        self.client.post_with(path, &[("dormouse-subject", caller)], body).unwrap()
    }

    /// Posts, which must succeed.
    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Answer {
        let answer = self.client.post(path, body).unwrap();
        assert_eq!(answer.status / 100, 2, "{path}: {answer}");
        answer
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.client.get(path).unwrap()
    }

    /// The state of an aggregate, once it is as expected.
    #[track_caller]
    fn state(&self, what: &str, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, SOON, || {
            let answer = self.get(path);
            let state = (answer.status == 200).then(|| answer.json()["state"].clone())?;
            is_so(&state).then_some(state)
        })
    }

    /// A document of a view, once it is as expected.
    #[track_caller]
    fn document(&self, what: &str, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, SOON, || {
            let answer = self.get(path);
            (answer.status == 200).then(|| answer.json()["document"].clone()).filter(&is_so)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

#[track_caller]
fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer}");
    (answer.status, answer.json()["type"].as_str().unwrap().trim_start_matches("urn:dormouse:problem:").to_owned())
}

fn is(status: u16, slug: &str) -> (u16, String) {
    (status, slug.to_owned())
}

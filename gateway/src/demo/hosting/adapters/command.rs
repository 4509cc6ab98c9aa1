//! The adapter `command`: a program of the operator makes sites and backups.

use async_trait::async_trait;
use dormouse_aggregates::hosting::BackupId;
use serde::Serialize;

use super::program;
use crate::demo::hosting::ports::{Backups, Call, PortError, Provisioner, SiteOrder};

/// Calls a program: one JSON object on its standard input, its exit code is the result.
#[derive(Clone, Debug)]
pub(in crate::demo::hosting) struct CommandAdapter {
    /// The program and its arguments. Not empty, the configuration is checked.
    command: Vec<String>,
}

/// What the program is asked for. Operators' programs read these names: they are stable.
#[derive(Serialize)]
struct Ask<'a> {
    action: &'static str,
    key: &'a str,
    #[serde(flatten)]
    site: &'a SiteOrder,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<&'a BackupId>,
}

impl CommandAdapter {
    pub(in crate::demo::hosting) fn new(command: &[String]) -> Self {
        Self { command: command.to_owned() }
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<String, PortError> {
        let input = serde_json::to_vec(ask).map_err(|error| PortError(error.to_string()))?;
        program::run(&self.command, &input).await.map_err(PortError)
    }
}

#[async_trait]
impl Provisioner for CommandAdapter {
    async fn provision(&self, site: &SiteOrder, call: &Call) -> Result<(), PortError> {
        self.ask(&Ask { action: "provision", key: &call.key, site, backup: None }).await.map(|_| ())
    }

    async fn remove(&self, site: &SiteOrder, call: &Call) -> Result<(), PortError> {
        self.ask(&Ask { action: "remove", key: &call.key, site, backup: None }).await.map(|_| ())
    }
}

#[async_trait]
impl Backups for CommandAdapter {
    async fn make(&self, backup: &BackupId, site: &SiteOrder, call: &Call) -> Result<u64, PortError> {
        let size = self.ask(&Ask { action: "backup", key: &call.key, site, backup: Some(backup) }).await?;
        size.parse().map_err(|_| PortError(format!("the last line of its output is no size in bytes: {size:?}")))
    }
}

//! `[hosting]`: how the module `hosting` makes sites and backups, and tells tenants of them.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{SmtpUrl, text};

/// How the module `hosting` makes sites and backups, and tells tenants of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosting {
    /// What makes sites and backups. Default `directory`.
    pub adapter: HostingAdapter,
    /// With the adapter `directory`: the folder of the sites' document roots. Default `./data/sites`.
    pub directory: PathBuf,
    /// With the adapter `directory`: the folder of backups. Default `./data/backups`.
    pub backups: PathBuf,
    /// With the adapter `command`: the program and its arguments.
    pub command: Vec<String>,
    /// Longest time of one attempt at a site or a backup, for both adapters. It is cut to four fifths of
    /// `queues.default.timeout`. Default 24 s; raise both for sites that take longer.
    #[serde(with = "text::duration")]
    pub command_timeout: Duration,
    /// The server that sends notifications by e-mail. Default none: they are written to the log.
    pub smtp_url: SmtpUrl,
    /// The sender of the e-mails. Needed with `smtp_url`.
    pub sender: String,
}

/// What makes sites and backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostingAdapter {
    /// A folder for each site, and an archive of it for each backup.
    Directory,
    /// A program of the operator.
    Command,
}

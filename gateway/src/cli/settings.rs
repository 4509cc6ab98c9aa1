//! The options that make up the configuration. They are the same before and after a command.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use dormouse_config::{Loaded, Sources};

/// Clap's own global arguments do not work here: if an argument is given before and after a command, clap silently
/// drops the former.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct Settings {
    /// A TOML file, laid over the profile.
    ///
    /// `config default` prints such a file with every key and its meaning: keep only the lines that you change.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,

    /// A set of values for a purpose: development, production or enterprise.
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,

    /// One value, laid over everything else; may be repeated.
    ///
    /// Durations and sizes carry their unit: `--set commands.timeout=10s --set gateway.max_body="64 KiB"`.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl Settings {
    /// Adds the settings that were given after the command. They take precedence.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.set.extend(later.set);
        Self { config: later.config.or(self.config), profile: later.profile.or(self.profile), set: self.set }
    }

    pub(super) fn load(self) -> Result<Loaded, dormouse_config::Error> {
        dormouse_config::load(&Sources::from_process(self.profile, self.config, self.set)?)
    }
}

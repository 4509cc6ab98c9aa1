//! The options that make up the configuration, the same wherever they stand.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use dormouse_config::{Loaded, Sources};

/// Clap's own global arguments would not do: given before and after a command, the former are dropped without a word.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct Settings {
    /// A TOML file, laid over the profile.
    ///
    /// `config default` prints one with every key and what it is good for: keep only the lines you change.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,

    /// A set of values for an occasion: development, production or enterprise.
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,

    /// One value, laid over everything else; may be repeated.
    ///
    /// Durations and sizes carry their unit: `--set commands.timeout=10s --set gateway.max_body="64 KiB"`.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl Settings {
    /// Those given before the command and those given after it, which win.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.set.extend(later.set);
        Self { config: later.config.or(self.config), profile: later.profile.or(self.profile), set: self.set }
    }

    pub(super) fn load(self) -> Result<Loaded, dormouse_config::Error> {
        dormouse_config::load(&Sources::from_process(self.profile, self.config, self.set)?)
    }
}

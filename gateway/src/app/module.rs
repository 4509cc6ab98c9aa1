//! Modules: the parts of an application that a configuration can leave out.

use dormouse_config::Config;

use super::App;

/// A module that was added.
#[derive(Clone, Debug)]
pub(super) struct Module {
    pub(super) name: &'static str,
    pub(super) enabled: bool,
}

/// A registration, and the module that it belongs to. `None`: it belongs to the application itself, and always runs.
#[derive(Clone, Debug)]
pub(super) struct Owned<T> {
    pub(super) module: Option<&'static str>,
    pub(super) item: T,
}

/// What is known of a module while the application runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModuleInfo {
    pub(crate) name: &'static str,
    pub(crate) enabled: bool,
    /// The consumers of its reactors and handlers. None of a module that does not run.
    pub(crate) listeners: Vec<String>,
}

/// The configuration names a module that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownModule {
    /// There are others.
    #[error("modules.enabled names {name:?}, which is no module; did you mean {nearest:?}? known: {known}")]
    Misspelt { name: String, nearest: &'static str, known: String },
    /// There is none at all.
    #[error("modules.enabled names {name:?}, but the application has no modules")]
    NoModules { name: String },
}

impl App {
    /// The application without the modules that the configuration leaves out, and the configuration without their
    /// listeners.
    ///
    /// # Errors
    /// If the configuration names a module that does not exist.
    pub(crate) fn with_enabled_modules(&self, mut config: Config) -> Result<(Self, Config), UnknownModule> {
        if let Some(name) = config.modules.names().find(|name| self.modules.iter().all(|module| module.name != *name)) {
            return Err(self.unknown_module(name));
        }
        let mut app = self.clone();
        for module in &mut app.modules {
            module.enabled = config.modules.is_enabled(module.name);
        }
        let is_enabled = |module: Option<&str>| module.is_none_or(|name| config.modules.is_enabled(name));
        app.aggregates.retain(|aggregate| is_enabled(aggregate.module));
        app.projections.retain(|projection| is_enabled(projection.module));
        app.routes.retain(|route| is_enabled(route.module));
        let left_out = app.listeners.extract_if(.., |listener| !is_enabled(listener.module)).collect::<Vec<_>>();
        // A listener that is paused in the configuration would otherwise be unknown.
        let runs = |name: &String| left_out.iter().all(|listener| listener.item.name != *name);
        config.listeners.paused.retain(runs);
        config.listeners.disabled.retain(runs);
        Ok((app, config))
    }

    /// The modules, in the order in which they were added.
    pub(crate) fn module_infos(&self) -> Vec<ModuleInfo> {
        let info = |module: &Module| {
            let own = self.listeners.iter().filter(|listener| listener.module == Some(module.name));
            let listeners = own.map(|listener| listener.item.name.clone()).collect();
            ModuleInfo { name: module.name, enabled: module.enabled, listeners }
        };
        self.modules.iter().map(info).collect()
    }

    fn unknown_module(&self, name: &str) -> UnknownModule {
        let known = self.modules.iter().map(|module| module.name);
        let likeness = |known: &&str| strsim::jaro_winkler(known, name);
        let nearest = known.clone().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        let name = name.to_owned();
        match nearest {
            Some(nearest) => UnknownModule::Misspelt { name, nearest, known: known.collect::<Vec<_>>().join(", ") },
            None => UnknownModule::NoModules { name },
        }
    }
}

//! Who may do what: tables of names, each with the roles that may. What no table names, nobody may.

use std::collections::BTreeMap;
use std::fmt;

use dormouse_config::Permissions as Config;

use crate::caller::{Caller, Rights};

/// Stands for every authenticated caller among roles, and for every name that has no line of its own among names.
pub(crate) const EVERY: &str = "*";

/// What a role begins with that may act only on what is its own.
const OWN: &str = "own:";

/// The role that may do everything in `admin` as long as that table has no line.
const ADMIN: &str = "admin";

/// The part of the permissions to which an action belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// `[permissions.commands]`
    Commands,
    /// `[permissions.queries]`
    Queries,
    /// `[permissions.admin]`
    Admin,
}

impl Section {
    /// All sections.
    pub const ALL: [Self; 3] = [Self::Commands, Self::Queries, Self::Admin];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Queries => "queries",
            Self::Admin => "admin",
        }
    }
}

/// A role in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name, or `*` for every authenticated caller.
    pub name: String,
    /// It may act only on what is the caller's own.
    pub own: bool,
}

impl Role {
    fn parse(text: &str) -> Self {
        match text.strip_prefix(OWN) {
            Some(name) => Self { name: name.to_owned(), own: true },
            None => Self { name: text.to_owned(), own: false },
        }
    }

    fn is_of(&self, roles: &[String]) -> bool {
        self.name == EVERY || roles.contains(&self.name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", if self.own { OWN } else { "" }, self.name)
    }
}

/// What a caller may reach with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    All,
    /// What is its own.
    Own,
}

/// One action, and who may do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    section: Section,
    /// The names of the action, the most precise one first.
    names: Vec<String>,
    /// The roles that may. Empty: no role.
    roles: Vec<Role>,
}

/// A caller may not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this caller may not do {section}.{name}", section = section.name())]
pub struct Denied {
    /// The section of the permission that it lacks.
    pub section: Section,
    /// The name of the permission that it lacks.
    pub name: String,
}

impl Rule {
    /// The name of the permission, as answers and descriptions show it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or(EVERY, String::as_str)
    }

    /// The section of the permission.
    #[must_use]
    pub fn section(&self) -> Section {
        self.section
    }

    /// The roles that may.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Decides whether a caller may do this, and with what.
    ///
    /// # Errors
    /// It may not.
    pub fn decide(&self, caller: &Caller) -> Result<Access, Denied> {
        let access = match &caller.rights {
            Rights::Roles(roles) => {
                let its_own = self.roles.iter().filter(|role| role.is_of(roles));
                // A role without a bound outweighs one with it.
                its_own
                    .map(|role| if role.own { Access::Own } else { Access::All })
                    .min_by_key(|one| *one == Access::Own)
            }
            Rights::Grants { grants, .. } => grants
                .iter()
                .any(|grant| grant.section == self.section && (grant.is_for_all() || self.names.contains(&grant.name)))
                .then_some(Access::All),
        };
        access.ok_or_else(|| self.denied())
    }

    /// The refusal of a caller that may not do this.
    #[must_use]
    pub fn denied(&self) -> Denied {
        Denied { section: self.section, name: self.name().to_owned() }
    }
}

/// The permission as descriptions show it: `commands.order.CreateOrder`.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.section.name(), self.name())
    }
}

/// All permissions of an application.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    commands: Table,
    queries: Table,
    admin: Table,
}

type Table = BTreeMap<String, Vec<Role>>;

/// A line of the permissions is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPermission {
    /// It names something that does not exist.
    #[error("permissions.{section} names {name:?}, which does not exist", section = section.name())]
    Unknown {
        /// The section that names it.
        section: Section,
        /// The name.
        name: String,
    },
    /// It lets a role act on its own, but nothing there belongs to anybody.
    #[error("permissions.{section}: {name:?} takes no role with `own:`, because nothing there belongs to a subject",
        section = section.name())]
    NeverOwn {
        /// The section of the line.
        section: Section,
        /// The name.
        name: String,
    },
}

impl Permissions {
    /// The permissions of the configuration, over those that come with the application's modules: a line of the
    /// configuration replaces that of a module.
    #[must_use]
    pub fn new<'m>(config: &Config, of_modules: impl IntoIterator<Item = (Section, &'m str, &'m [&'m str])>) -> Self {
        let mut permissions = Self::default();
        for (section, name, roles) in of_modules {
            let roles = roles.iter().map(|role| Role::parse(role)).collect();
            permissions.table_mut(section).insert(name.to_owned(), roles);
        }
        for section in Section::ALL {
            let configured = match section {
                Section::Commands => &config.commands,
                Section::Queries => &config.queries,
                Section::Admin => &config.admin,
            };
            let lines = configured
                .iter()
                .map(|(name, roles)| (name.clone(), roles.iter().map(|role| Role::parse(role)).collect::<Vec<_>>()));
            permissions.table_mut(section).extend(lines);
        }
        if permissions.admin.is_empty() {
            permissions.admin.insert(EVERY.to_owned(), vec![Role::parse(ADMIN)]);
        }
        permissions
    }

    /// The rule for an action with these names, the most precise one first. The first that has a line decides.
    #[must_use]
    pub fn rule(&self, section: Section, names: &[&str]) -> Rule {
        let table = self.table(section);
        let line = names.iter().chain([&EVERY]).find_map(|name| table.get(*name));
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Rule { section, names, roles: line.cloned().unwrap_or_default() }
    }

    /// The rule for the action with this name. A command has a second name without its aggregate type.
    #[must_use]
    pub fn rule_of(&self, section: Section, name: &str) -> Rule {
        match name.split_once('.').filter(|_| section == Section::Commands) {
            Some((_, command)) => self.rule(section, &[name, command]),
            None => self.rule(section, &[name]),
        }
    }

    /// Checks that every line names something that exists (`known`), and that it lets a role act on its own only where
    /// something can belong to a subject (`can_be_own`).
    ///
    /// # Errors
    /// The first line that does not.
    pub fn check(
        &self,
        known: impl Fn(Section, &str) -> bool,
        can_be_own: impl Fn(Section, &str) -> bool,
    ) -> Result<(), InvalidPermission> {
        for section in Section::ALL {
            for (name, roles) in self.table(section) {
                if *name != EVERY && !known(section, name) {
                    return Err(InvalidPermission::Unknown { section, name: name.clone() });
                }
                if roles.iter().any(|role| role.own) && !can_be_own(section, name) {
                    return Err(InvalidPermission::NeverOwn { section, name: name.clone() });
                }
            }
        }
        Ok(())
    }

    fn table(&self, section: Section) -> &Table {
        match section {
            Section::Commands => &self.commands,
            Section::Queries => &self.queries,
            Section::Admin => &self.admin,
        }
    }

    fn table_mut(&mut self, section: Section) -> &mut Table {
        match section {
            Section::Commands => &mut self.commands,
            Section::Queries => &mut self.queries,
            Section::Admin => &mut self.admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(commands: &[(&str, &[&str])]) -> Permissions {
        let commands = commands
            .iter()
            .map(|(name, roles)| ((*name).to_owned(), roles.iter().map(|role| (*role).to_owned()).collect()));
        Permissions::new(&Config { commands: commands.collect(), ..Config::default() }, [])
    }

    fn with_roles(roles: &[&str]) -> Caller {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Caller { subject: "ada".to_owned(), rights: Rights::Roles(roles), issuer: None, expires_at: None }
    }

    fn with_grants(grants: &[&str]) -> Caller {
        let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        Caller {
            subject: "key:ci".to_owned(),
            rights: Rights::Grants { key: "k".to_owned(), grants },
            issuer: None,
            expires_at: None,
        }
    }

    #[test]
    fn what_no_line_names_nobody_may_do() {
        let rule = permissions(&[("AddLine", &["user"])]).rule(Section::Commands, &["order.ShipOrder", "ShipOrder"]);
        let denied = Denied { section: Section::Commands, name: "order.ShipOrder".to_owned() };
        for caller in [with_roles(&[]), with_roles(&["user", "admin", "*", ""]), with_grants(&["commands.AddLine"])] {
            assert_eq!(rule.decide(&caller), Err(denied.clone()));
        }
    }

    #[test]
    fn the_most_precise_line_decides() {
        let permissions = permissions(&[("*", &["a"]), ("Add", &["b"]), ("order.Add", &["c"])]);
        let may = |names: &[&str], role: &str| {
            permissions.rule(Section::Commands, names).decide(&with_roles(&[role])).is_ok()
        };
        assert!(may(&["order.Add", "Add"], "c") && !may(&["order.Add", "Add"], "b"));
        assert!(may(&["cart.Add", "Add"], "b") && !may(&["cart.Add", "Add"], "a"));
        assert!(may(&["cart.Clear", "Clear"], "a") && !may(&["cart.Clear", "Clear"], "b"));
    }

    #[test]
    fn a_role_may_act_on_its_own_unless_another_one_may_act_on_all() {
        let permissions = permissions(&[("Add", &["own:user", "admin"]), ("Look", &["own:*"])]);
        let decided =
            |name: &str, roles: &[&str]| permissions.rule(Section::Commands, &[name]).decide(&with_roles(roles)).ok();
        assert_eq!(decided("Add", &["user"]), Some(Access::Own));
        assert_eq!(decided("Add", &["user", "admin"]), Some(Access::All));
        assert_eq!(decided("Add", &["other"]), None);
        assert_eq!(decided("Look", &[]), Some(Access::Own));
    }

    #[test]
    fn an_api_key_may_do_what_was_granted_to_it_and_its_roles_do_not_count() {
        let permissions = permissions(&[("Add", &["*"])]);
        let rule = |section, name: &str| permissions.rule(section, &[&format!("cart.{name}"), name]);
        let may = |grant: &str, section, name| rule(section, name).decide(&with_grants(&[grant])).is_ok();
        assert!(may("commands.Add", Section::Commands, "Add") && may("commands.cart.Add", Section::Commands, "Add"));
        assert!(may("commands.*", Section::Commands, "Clear"));
        assert!(!may("queries.*", Section::Commands, "Add") && !may("commands.order.Add", Section::Commands, "Add"));
    }

    #[test]
    fn the_role_admin_may_do_all_admin_actions_until_a_line_says_otherwise() {
        let standard = permissions(&[]).rule(Section::Admin, &["failed.retry"]);
        assert!(standard.decide(&with_roles(&["admin"])).is_ok() && standard.decide(&with_roles(&["user"])).is_err());
        let lines = [("failed.retry".to_owned(), vec!["operator".to_owned()])];
        let config = Config { admin: lines.into(), ..Config::default() };
        let permissions = Permissions::new(&config, []);
        assert!(permissions.rule(Section::Admin, &["failed.retry"]).decide(&with_roles(&["operator"])).is_ok());
        assert!(permissions.rule(Section::Admin, &["failed.flush"]).decide(&with_roles(&["admin"])).is_err());
    }

    #[test]
    fn a_line_of_the_configuration_replaces_that_of_a_module() {
        let config = Config { queries: [("Get".to_owned(), vec!["b".to_owned()])].into(), ..Config::default() };
        let of_modules: [(Section, &str, &[&str]); 2] =
            [(Section::Queries, "Get", &["a"]), (Section::Queries, "List", &["a"])];
        let permissions = Permissions::new(&config, of_modules);
        let may =
            |name: &str, role: &str| permissions.rule(Section::Queries, &[name]).decide(&with_roles(&[role])).is_ok();
        assert!(may("Get", "b") && !may("Get", "a") && may("List", "a"));
    }

    #[test]
    fn a_line_with_own_where_nothing_belongs_to_anybody_is_found() {
        let permissions = permissions(&[("Add", &["own:a"]), ("Look", &["b", "own:a"])]);
        let refused = permissions.check(|_, _| true, |_, name| name == "Add").unwrap_err();
        assert!(
            refused.to_string().starts_with("permissions.commands: \"Look\" takes no role with `own:`"),
            "{refused}"
        );
    }

    #[test]
    fn a_line_for_something_unknown_is_found() {
        let permissions = permissions(&[("*", &["a"]), ("Add", &["a"]), ("Ad", &["a"])]);
        let known = |section, name: &str| section == Section::Admin || name == "Add";
        let unknown = permissions.check(known, |_, _| true).unwrap_err();
        assert_eq!(unknown.to_string(), "permissions.commands names \"Ad\", which does not exist");
    }
}

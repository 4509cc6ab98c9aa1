//! What tests need from the machine beyond running programs, and how to switch such tests off.
//!
//! If a machine cannot do something, the tests that need it fail. A test that skips itself silently would show nothing.
//! To skip them on purpose, name the ability: `DORMOUSE_TESTS_WITHOUT=loop-mount,mount`.

use std::env;
use std::fmt;

/// A comma-separated list of names of [`Ability`].
const VARIABLE: &str = "DORMOUSE_TESTS_WITHOUT";

/// Something that not every machine lets a test do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Mounting a file system in memory, in a mount namespace of its own. Needs root.
    Mount,
    /// The same with an ext4 image. Needs loop devices too.
    LoopMount,
    /// Installing packages from npm and PyPI. Needs Node.js 20.19 or later, Python, and the network.
    Packages,
}

impl Ability {
    const ALL: [Self; 3] = [Self::Mount, Self::LoopMount, Self::Packages];

    const fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::LoopMount => "loop-mount",
            Self::Packages => "packages",
        }
    }

    /// Whether the variable says that this machine cannot do it. If so, prints that, and the test should return.
    ///
    /// # Panics
    /// When the variable contains an unknown name: a misspelt name would switch nothing off.
    #[must_use]
    pub fn is_switched_off(self) -> bool {
        let off = is_listed(self, &env::var(VARIABLE).unwrap_or_default());
        if off {
            eprintln!("{self} is switched off by {VARIABLE}: this test shows nothing");
        }
        off
    }

    /// The hint for a failure message on a machine that cannot do it.
    #[must_use]
    pub fn hint(self) -> String {
        format!("if this machine cannot do that, switch it off by name: {VARIABLE}={self}")
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn is_listed(ability: Ability, list: &str) -> bool {
    let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
    for name in names() {
        let known = Ability::ALL.iter().any(|ability| ability.name() == name);
        assert!(known, "{VARIABLE} names {name:?}, there are {:?}", Ability::ALL.map(Ability::name));
    }
    names().any(|name| name == ability.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_switched_off() {
        assert!(!is_listed(Ability::Mount, ""));
        assert!(!is_listed(Ability::Mount, "loop-mount"));
        assert!(is_listed(Ability::Mount, "loop-mount, mount"));
    }

    #[test]
    #[should_panic(expected = "names \"loopmount\"")]
    fn a_misspelt_name_switches_nothing_off_quietly() {
        is_listed(Ability::Mount, "loopmount");
    }
}

//! The path to a value: each step after a slash, as in a JSON pointer. It is authenticated with each sealed value, so
//! it is part of the stored format.

use std::fmt::Write;

/// The steps to a value.
#[derive(Debug, Default)]
pub(super) struct Path(String);

/// A path before a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before(usize);

impl Path {
    /// Adds a step to a field. The name is escaped, so that it looks neither like two steps, nor like another key.
    pub(super) fn field(&mut self, name: &str) -> Before {
        let before = self.step();
        for character in name.chars() {
            match character {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                '#' => self.0.push_str("~2"),
                other => self.0.push(other),
            }
        }
        before
    }

    /// Adds a step to an element of a list.
    pub(super) fn element(&mut self, index: usize) -> Before {
        let before = self.step();
        // A string takes everything.
        _ = write!(self.0, "{index}");
        before
    }

    /// Adds a step to the value of a key that is no text.
    pub(super) fn other_key(&mut self, key: &[u8]) -> Before {
        let before = self.step();
        self.0.push('#');
        key.iter().for_each(|byte| _ = write!(self.0, "{byte:02x}"));
        before
    }

    /// Takes a step back.
    pub(super) fn back(&mut self, before: Before) {
        self.0.truncate(before.0);
    }

    pub(super) fn to_text(&self) -> String {
        self.0.clone()
    }

    fn step(&mut self) -> Before {
        let before = Before(self.0.len());
        self.0.push('/');
        before
    }
}

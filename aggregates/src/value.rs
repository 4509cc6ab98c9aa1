//! Macros for the values of the domains: each is checked when it is parsed, and its JSON errors state the rule.

use dormouse_kernel::AggregateId;

/// A value that was refused, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidValue {
    /// What the value is called.
    pub what: &'static str,
    /// What is wrong with it, as the end of a sentence.
    pub problem: String,
}

/// Checks the id of an aggregate.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    AggregateId::new(id).map(|_| ()).map_err(|invalid| invalid.problem)
}

/// A text with a rule: `check` returns what is wrong with it, and `schema` states the rule in JSON Schema.
macro_rules! text_value {
    ($(#[doc = $doc:literal])+ $name:ident, $what:literal, $check:expr, schema: $schema:tt) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// If the text breaks the rule. Nothing is repaired.
            pub fn new(text: impl Into<String>) -> Result<Self, $crate::InvalidValue> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text.into_boxed_str())),
                    Err(problem) => Err($crate::InvalidValue { what: $what, problem }),
                }
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::InvalidValue;

            fn try_from(text: String) -> Result<Self, $crate::InvalidValue> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.into_string()
            }
        }

        value_schema! { $name, concat!($($doc),+), "string", $schema }
    };
}

/// The id of an aggregate of another type. The rule for aggregate ids applies.
macro_rules! id_value {
    ($(#[doc = $doc:literal])+ $name:ident, $what:literal) => {
        text_value! {
            $(#[doc = $doc])+
            $name, $what, $crate::value::check_id,
            schema: {
                "minLength": 1,
                "maxLength": dormouse_kernel::limits::AGGREGATE_ID_CHARS,
                "pattern": "^[^/\\u0000-\\u001f\\u007f-\\u009f]+$",
            }
        }

        impl From<&dormouse_kernel::AggregateId> for $name {
            fn from(id: &dormouse_kernel::AggregateId) -> Self {
                Self(id.as_str().into())
            }
        }
    };
}

/// A whole number between two bounds, both included.
macro_rules! number_value {
    ($(#[doc = $doc:literal])+ $name:ident($inner:ty), $what:literal, $min:expr, $max:expr) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The smallest.
            pub const MIN: Self = Self($min);
            /// The largest.
            pub const MAX: Self = Self($max);

            /// Checks the number.
            ///
            /// # Errors
            /// If it is outside the bounds.
            pub fn new(number: impl Into<i128>) -> Result<Self, $crate::InvalidValue> {
                let number = number.into();
                match <$inner>::try_from(number) {
                    Ok(number) if ($min..=$max).contains(&number) => Ok(Self(number)),
                    _ => {
                        let problem = format!("must be between {} and {}, got {number}", $min, $max);
                        Err($crate::InvalidValue { what: $what, problem })
                    }
                }
            }

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, formatter)
            }
        }

        // Not derived with `try_from`: the error for a value of another JSON type must state the rule, not a Rust type.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Number;

                impl serde::de::Visitor<'_> for Number {
                    type Value = $name;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "a whole number between {} and {}", $min, $max)
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        $name::new(number).map_err(E::custom)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
                        $name::new(number).map_err(E::custom)
                    }
                }

                deserializer.deserialize_i64(Number)
            }
        }

        value_schema! { $name, concat!($($doc),+), "integer", { "format": "int64", "minimum": $min, "maximum": $max } }
    };
}

macro_rules! value_schema {
    ($name:ident, $doc:expr, $type:literal, { $($key:literal: $bound:expr),+ $(,)? }) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }

            fn json_schema(_generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": $type, "description": $doc.trim(), $($key: $bound),+ })
            }
        }
    };
}

//! Values as text with a unit or a format: durations, sizes, addresses. Each is a serde `with` module.
//!
//! A value is written so that it reads back to the same value, with the largest unit that divides it evenly (`"90d"`,
//! `"1 MiB"`). The libraries' own formatting rounds (`"1.2 MiB"`) or uses months.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Durations, `"30s"`.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    const UNITS: [(u128, &str); 7] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let nanos = value.as_nanos();
        let even = UNITS.iter().find(|(unit, _)| nanos != 0 && nanos.is_multiple_of(*unit));
        let text = match even {
            None => "0s".to_owned(),
            // The number of units would be too large to be read: centuries with a fraction of a second.
            Some((unit, _)) if nanos / unit > u128::from(u64::MAX) => {
                format!("{}s {}ns", value.as_secs(), value.subsec_nanos())
            }
            Some((unit, name)) => format!("{}{name}", nanos / unit),
        };
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        super::parsed(from, r#"a duration with its unit, such as "200ms", "30s" or "90d""#, |text| {
            humantime::parse_duration(text).ok()
        })
    }
}

/// Sizes in bytes, `"512 MiB"`.
pub(crate) mod size {
    use bytesize::ByteSize;
    use serde::{Deserializer, Serializer};

    const UNITS: [(u64, &str); 5] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

    pub(crate) fn serialize<S: Serializer>(value: &ByteSize, to: S) -> Result<S::Ok, S::Error> {
        let bytes = value.as_u64();
        let text = UNITS
            .iter()
            .find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit))
            .map_or_else(|| "0 B".to_owned(), |(unit, name)| format!("{} {name}", bytes / unit));
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ByteSize, D::Error> {
        super::parsed(from, r#"a size with its unit, such as "64 KiB" or "512 MiB""#, |text| {
            // A number without a unit would be bytes here, but a reader could take it for megabytes.
            let has_unit = text.contains(|c: char| c.is_ascii_alphabetic());
            text.parse().ok().filter(|_| has_unit)
        })
    }
}

/// Socket addresses, `"127.0.0.1:8080"`.
pub(crate) mod address {
    use std::net::SocketAddr;

    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &SocketAddr, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
        super::parsed(from, r#"a numeric address with a port, such as "127.0.0.1:8080" or "[::1]:8080""#, |text| {
            text.parse().ok()
        })
    }
}

/// Socket addresses, of which there may be none: `""`.
pub(crate) mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        super::parsed(from, r#"nothing, or a numeric address with a port, such as "127.0.0.1:9090""#, |text| {
            if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
        })
    }
}

/// Reads a string through `parse`; every error says `expecting`.
pub(crate) fn parsed<'de, D: Deserializer<'de>, T>(
    from: D,
    expecting: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    from.deserialize_str(Text { expecting, parse })
}

struct Text<T> {
    expecting: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytesize::ByteSize;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super::duration")]
        time: Duration,
        #[serde(with = "super::size")]
        space: ByteSize,
    }

    fn written(time: Duration, space: u64) -> (String, String) {
        let both = Both { time, space: ByteSize(space) };
        let table = toml::Table::try_from(&both).unwrap();
        assert_eq!(table.clone().try_into::<Both>().unwrap(), both, "reads back to the same value");
        let text = |key: &str| table[key].as_str().unwrap().to_owned();
        (text("time"), text("space"))
    }

    #[test]
    fn the_largest_even_unit_is_written_and_reads_back() {
        let days = Duration::from_secs(90 * 86_400);
        assert_eq!(written(days, 1 << 20), ("90d".into(), "1 MiB".into()));
        assert_eq!(written(Duration::from_millis(1_500), 1_500), ("1500ms".into(), "1500 B".into()));
        assert_eq!(written(Duration::ZERO, 0), ("0s".into(), "0 B".into()));
        assert_eq!(written(Duration::MAX, u64::MAX).1, "18446744073709551615 B");
        assert_eq!(written(Duration::from_nanos(1), 1 << 50), ("1ns".into(), "1024 TiB".into()));
    }

    #[test]
    fn a_number_without_unit_is_refused() {
        let read = |text: &str| toml::from_str::<Both>(text).unwrap_err().message().to_owned();
        assert!(read("time = 30\nspace = '1 B'").contains("a duration with its unit"));
        assert!(read("time = '30'\nspace = '1 B'").contains("a duration with its unit"));
        assert!(read("time = '1s'\nspace = '1048576'").contains("a size with its unit"));
        assert!(read("time = '1s'\nspace = 1048576").contains("a size with its unit"));
    }
}

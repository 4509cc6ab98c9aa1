//! The parts of a request's address: path segments and query parameters.

use std::borrow::Cow;

use axum::http::Uri;
use dormouse_kernel::AggregateId;
use percent_encoding::percent_decode_str;

use super::problem::{self, Problem};

/// The largest version, position or count that a store can hold.
pub(super) const LARGEST: u64 = i64::MAX as u64;

/// The segments of a path, still percent-encoded.
pub(super) fn segments(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.path().split('/').skip(1)
}

/// Percent-decodes a path segment.
///
/// # Errors
/// What is wrong with the segment. `percent_encoding` would leave a malformed escape unchanged, so it is refused first.
pub(super) fn decoded(segment: &str) -> Result<Cow<'_, str>, &'static str> {
    let is_escape =
        |text: &str| text.as_bytes().first_chunk::<2>().is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if !segment.split('%').skip(1).all(is_escape) {
        return Err("has a percent sign without two hexadecimal digits");
    }
    percent_decode_str(segment).decode_utf8().map_err(|_| "is not UTF-8 after percent-decoding")
}

/// Parses a path segment as the id of an aggregate.
pub(super) fn aggregate_id(segment: &str) -> Result<AggregateId, Problem> {
    let refused = |detail: String| Problem::new(&problem::INVALID_AGGREGATE_ID, detail);
    let text = decoded(segment).map_err(|what| refused(format!("the aggregate id {what}")))?;
    AggregateId::new(text).map_err(|error| refused(error.to_string()))
}

/// The query parameters of a request. All of them are known, and none occurs twice.
#[derive(Debug)]
pub(super) struct Parameters<'u>(Vec<(Cow<'u, str>, Cow<'u, str>)>);

impl<'u> Parameters<'u> {
    /// Parses the query. It may contain only `known` parameters. A name like `name[…]` stands for a family of
    /// parameters, with any text in the brackets.
    pub(super) fn of(uri: &'u Uri, known: &[&'static str]) -> Result<Self, Problem> {
        let mut parameters = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = query_text(name).map_err(|what| invalid(name, what))?;
            let value = query_text(value).map_err(|what| invalid(&name, what))?;
            if !known.iter().any(|known| is_one_of(known, &name)) {
                let all = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let detail = format!("there is no parameter {name:?} here; known: {all}");
                return Err(Problem::new(&problem::UNKNOWN_PARAMETER, detail).with("parameter", name.as_ref()));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(invalid(&name, "occurs twice"));
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// The parameters `name[…]`: the full name, the text inside the outermost brackets, and the value.
    pub(super) fn family(&self, name: &str) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().filter_map(move |(full, value)| {
            let inside = full.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((full.as_ref(), inside, value.as_ref()))
        })
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(name, "is neither true nor false")),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(invalid(name, "is not a whole number"));
        }
        let number = value.parse().ok().filter(|number| *number <= LARGEST);
        number.map(Some).ok_or_else(|| invalid(name, &format!("is larger than {LARGEST}")))
    }
}

/// The query of an address without one parameter. The others are unchanged, and each begins with `&`.
pub(super) fn query_without(uri: &Uri, parameter: &str) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let others = pairs.filter(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        query_text(name).is_ok_and(|name| name != parameter)
    });
    others.map(|pair| format!("&{pair}")).collect()
}

fn is_one_of(known: &str, name: &str) -> bool {
    match known.strip_suffix("[…]") {
        Some(family) => name.strip_prefix(family).is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']')),
        None => known == name,
    }
}

/// The problem with a query parameter whose value is invalid.
pub(super) fn invalid(parameter: &str, what: &str) -> Problem {
    let detail = format!("the parameter {parameter:?} {what}");
    Problem::new(&problem::INVALID_PARAMETER, detail).with("parameter", parameter)
}

/// Decodes a part of a query. Forms write a blank as a plus sign there.
pub(super) fn query_text(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text.contains('+') {
        decoded(&text.replace('+', "%20")).map(|text| Cow::Owned(text.into_owned()))
    } else {
        decoded(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_percent_decoded() {
        assert_eq!(decoded("a%20b%C3%BC").unwrap(), "a bü");
        assert_eq!(decoded("plain+").unwrap(), "plain+");
        for broken in ["%", "%4", "%zz", "%FF", "%+1", "%%41", "%4%41", "a%C3%B"] {
            assert!(decoded(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn parameters_are_known_and_occur_once() {
        let of = |query: &str| {
            let uri: Uri = format!("/path?{query}").parse().unwrap();
            Parameters::of(&uri, &["at", "version"])
                .map(|parameters| parameters.get("at").map(str::to_owned))
                .map_err(|problem| problem.problem_type().slug)
        };
        assert_eq!(of("at=a+b%2B&&version"), Ok(Some("a b+".to_owned())));
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("atx=1"), Err("unknown-parameter"));
        assert_eq!(of("at=1&at=2"), Err("invalid-parameter"));
        assert_eq!(of("at=%FF"), Err("invalid-parameter"));
    }

    #[test]
    fn a_query_without_a_parameter_has_the_others_unchanged() {
        let uri: Uri = "/path?%61fter=1&event=A%2CB&&after=2&x".parse().unwrap();
        assert_eq!(query_without(&uri, "after"), "&event=A%2CB&x");
        assert_eq!(query_without(&Uri::from_static("/path"), "after"), "");
    }

    #[test]
    fn parameters_of_a_family_differ_in_the_text_in_their_brackets() {
        let uri: Uri = "/path?filter[a.b]=1&filter%5Bc%5D[gt]=2&sort=x&filter[]=3".parse().unwrap();
        let parameters = Parameters::of(&uri, &["filter[…]", "sort"]).unwrap();
        let family: Vec<_> = parameters.family("filter").map(|(_, inside, value)| (inside, value)).collect();
        assert_eq!(family, [("a.b", "1"), ("c][gt", "2"), ("", "3")]);
        for unknown in ["filter=1", "filter[a=1", "filtera]=1", "filter[…]x=1"] {
            let uri: Uri = format!("/path?{}", unknown.replace('…', "%E2%80%A6")).parse().unwrap();
            assert!(Parameters::of(&uri, &["filter[…]"]).is_err(), "{unknown}");
        }
        let uri: Uri = "/path?filter[a]=1&filter%5Ba%5D=2".parse().unwrap();
        assert_eq!(Parameters::of(&uri, &["filter[…]"]).unwrap_err().problem_type().slug, "invalid-parameter");
    }

    #[test]
    fn a_number_has_only_digits_and_fits_a_store() {
        let number = |value: &str| {
            let uri: Uri = format!("/path?n={value}").parse().unwrap();
            Parameters::of(&uri, &["n"]).unwrap().number("n").map_err(|problem| problem.problem_type().slug)
        };
        assert_eq!(number("9223372036854775807"), Ok(Some(LARGEST)));
        for value in ["", "-1", "%2B1", "1.0", "9223372036854775808", "99999999999999999999"] {
            assert_eq!(number(value), Err("invalid-parameter"), "{value}");
        }
    }
}

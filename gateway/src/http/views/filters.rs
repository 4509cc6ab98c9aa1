//! Parses `filter[field]=value`, `filter[field][test]=value` and `sort=-field,field` into a query for a view.

use dormouse_projections::{Definition, Field, Kind, Query, QueryError, Test, Value};

use crate::http::address::{Parameters, invalid};
use crate::http::problem::Problem;

/// The name of the parameters that filter.
pub(super) const FILTER: &str = "filter";

pub(super) const SORT: &str = "sort";

/// The tests, as addresses write them.
const TESTS: [&str; 8] = ["eq", "ne", "lt", "lte", "gt", "gte", "in", "prefix"];

/// A query for at most `limit` documents that meet all filters, in the requested order.
pub(super) fn query(view: &Definition, parameters: &Parameters<'_>, limit: usize) -> Result<Query, Problem> {
    let mut query = Query::all(limit);
    for (parameter, inside, value) in parameters.family(FILTER) {
        let refused = |error: QueryError| Problem::from(error).with("parameter", parameter);
        let (path, test) = inside.split_once("][").unwrap_or((inside, "eq"));
        let field = field(view, path).map_err(refused)?;
        let test = test_of(parameter, field, test, value)?;
        query = query.filter(view, path, test).map_err(refused)?;
    }
    for path in parameters.get(SORT).into_iter().flat_map(|paths| paths.split(',')) {
        let (path, is_descending) = path.strip_prefix('-').map_or((path, false), |path| (path, true));
        query = query.sort(view, path, is_descending).map_err(|error| Problem::from(error).with("parameter", SORT))?;
    }
    Ok(query)
}

fn test_of(parameter: &str, field: &Field, test: &str, text: &str) -> Result<Test, Problem> {
    let value = |text: &str| {
        let digits = if field.kind == Kind::Integer { without_zeros(text) } else { text };
        Value::parse(field.kind, digits).ok_or_else(|| {
            let given = text.to_owned();
            let wrong = QueryError::WrongKind { path: field.path, kind: field.kind, given };
            Problem::from(wrong).with("parameter", parameter)
        })
    };
    Ok(match test {
        "eq" => Test::Equal(value(text)?),
        "ne" => Test::NotEqual(value(text)?),
        "lt" => Test::Less(value(text)?),
        "lte" => Test::AtMost(value(text)?),
        "gt" => Test::Greater(value(text)?),
        "gte" => Test::AtLeast(value(text)?),
        "in" => Test::In(listed(text).iter().map(|text| value(text)).collect::<Result<_, _>>()?),
        "prefix" => Test::Prefix(text.to_owned()),
        _ => {
            let what = format!("has an unknown test; known: {}", TESTS.join(", "));
            return Err(invalid(parameter, &what));
        }
    })
}

/// Removes a fraction of zeros: `1.0` is a whole number, as in JSON Schema.
fn without_zeros(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    }
}

fn field<'d>(view: &'d Definition, path: &str) -> Result<&'d Field, QueryError> {
    let found = view.fields().iter().find(|field| field.path == path);
    found.ok_or_else(|| QueryError::UndeclaredField {
        path: path.to_owned(),
        known: view.fields().iter().map(|field| field.path).collect(),
    })
}

/// Splits values at commas. A comma or a backslash that belongs to a value has a backslash before it.
fn listed(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let belongs = match character {
            ',' => {
                values.push(String::new());
                continue;
            }
            // A backslash at the end stands for itself.
            '\\' => characters.next().unwrap_or('\\'),
            plain => plain,
        };
        if let Some(value) = values.last_mut() {
            value.push(belongs);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_by_commas_without_a_backslash() {
        assert_eq!(listed("a,b"), ["a", "b"]);
        assert_eq!(listed(r"a\,b,c\\,d"), ["a,b", r"c\", "d"]);
        assert_eq!(listed(r"a,\"), ["a", r"\"]);
        assert_eq!(listed(""), [""]);
        assert_eq!(listed(",x,"), ["", "x", ""]);
    }
}

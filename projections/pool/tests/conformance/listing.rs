//! Lists: the documents that match a filter, and their order.

use dormouse_projections::{Place as Behind, Query, QueryError, Test, Value};
use serde_json::{Value as Json, json};

use crate::filled_view::{FilledView, TEXTS, document, every_test, names, put, text, walk, whole};
use crate::support::{Place, key};

on_every_store! {
    texts_are_compared_by_code_points,
    whole_numbers_are_compared_up_to_their_limits,
    numbers_with_a_fraction_are_compared,
    booleans_are_compared,
    a_missing_field_passes_only_not_equal,
    a_value_of_another_kind_counts_as_missing,
    a_field_may_be_within_another,
    an_empty_set_of_values_matches_nothing,
    a_prefix_is_taken_literally,
    hostile_texts_are_treated_as_text,
    the_first_four_hundred_characters_of_a_text_count,
    a_document_must_match_all_filters,
    an_unsorted_list_is_in_the_order_of_keys,
    keys_order_documents_with_equal_fields,
    documents_without_a_field_come_first_and_last_if_it_descends,
    several_fields_sort_in_their_order,
}

/// Checks all tests with distinct values, which are given in order, and the order of the list: in a field and in a
/// field within others.
async fn compares(place: Place, field: &str, within: &str, values: Vec<(Json, Value)>) {
    let place = &place;
    let documents = values.iter().enumerate().map(|(number, (json, _))| {
        let mut document = json!({ field: json });
        put(&mut document, within, json.clone());
        (format!("{number:03}"), document)
    });
    // Written in another order.
    let mut documents: Vec<_> = documents.collect();
    documents.reverse();
    let filled = FilledView::with(place, documents).await;
    let all: Vec<usize> = (0..values.len()).collect();
    for field in [field, within] {
        for (number, (_, value)) in values.iter().enumerate() {
            let others: Vec<usize> = all.iter().copied().filter(|other| *other != number).collect();
            let expected: [&[usize]; 6] =
                [&all[number..=number], &others, &all[..number], &all[..=number], &all[number + 1..], &all[number..]];
            filled.expect(field, every_test(value.clone()).into_iter().zip(expected)).await;
            let one_of = [value.clone(), values[0].1.clone(), value.clone()];
            let found = if number == 0 { vec![0] } else { vec![0, number] };
            filled.expect(field, [(Test::In(one_of.to_vec()), &found[..])]).await;
            filled.expect(field, [(Test::In(vec![value.clone()]), &all[number..=number])]).await;
        }
        filled.expect(field, [(Test::In(values.iter().map(|(_, value)| value.clone()).collect()), &all[..])]).await;
        let mut names: Vec<String> = all.iter().map(|number| format!("{number:03}")).collect();
        assert_eq!(filled.sorted(&[field]).await, names);
        names.reverse();
        assert_eq!(filled.sorted(&[&format!("-{field}")]).await, names);
    }
}
async fn texts_are_compared_by_code_points(place: Place) {
    assert!(TEXTS.is_sorted_by(|one, next| one.chars().lt(next.chars())));
    let values = TEXTS.iter().map(|value| (json!(value), text(value)));
    compares(place, "name", "in.name", values.collect()).await;
}

async fn whole_numbers_are_compared_up_to_their_limits(place: Place) {
    let (exact, least, beyond) = (1_i128 << 53, i128::from(i64::MIN), 1_i128 << 63);
    let values =
        [least, least + 1, -exact - 1, -exact, -10, -9, -1, 0, 1, 9, 10, exact, exact + 1, beyond - 2, beyond - 1];
    // From 10^19 on, they have one digit more.
    let large =
        [beyond, beyond + 1, 10_i128.pow(19) - 1, 10_i128.pow(19), i128::from(u64::MAX) - 1, i128::from(u64::MAX)];
    let values = values.into_iter().chain(large);
    compares(place, "count", "in.count", values.map(|value| (whole(value), Value::Integer(value))).collect()).await;
}

async fn numbers_with_a_fraction_are_compared(place: Place) {
    let values = [-1e308, -10.5, -9.0, -0.1, -5e-300, -0.0, 5e-300, 0.1, 0.25, 9.0, 10.5, 1e15, 1e16, 1e308];
    let values: Vec<(Json, Value)> = values.into_iter().map(|value| (json!(value), Value::Real(value))).collect();
    compares(place, "price", "in.deep_1.Price", values).await;
}

async fn booleans_are_compared(place: Place) {
    let values = [false, true].map(|value| (json!(value), Value::Boolean(value)));
    compares(place, "sold", "in.deep_1.sold", values.to_vec()).await;
}

async fn a_missing_field_passes_only_not_equal(place: Place) {
    let documents = [("gone", json!({})), ("null", json!({"name": null, "count": null, "price": null, "sold": null}))];
    let filled = FilledView::with(&place, documents).await;
    let asked = [
        ("name", text("")),
        ("name", text("null")),
        ("count", Value::Integer(0)),
        ("price", Value::Real(0.0)),
        ("sold", Value::Boolean(false)),
        // The object that would contain the field is missing.
        ("in.name", text("")),
        ("in.deep_1.sold", Value::Boolean(false)),
    ];
    for (field, value) in asked {
        for test in every_test(value.clone()).into_iter().chain([Test::In(vec![value])]) {
            let expected: &[&str] = if matches!(test, Test::NotEqual(_)) { &["gone", "null"] } else { &[] };
            let query = Query::all(10).filter(&filled.view, field, test.clone()).unwrap();
            assert_eq!(names(&filled.list(&query).await), expected, "{field} {test:?}");
        }
    }
    assert_eq!(filled.found("name", Test::Prefix(String::new())).await, [Json::Null; 0]);
}

async fn a_value_of_another_kind_counts_as_missing(place: Place) {
    let beyond = json!(18_446_744_073_709_551_616_f64);
    let kinds = [json!("1"), json!(1.5), json!(true), json!([1]), json!({"a": 1}), beyond, json!(1)];
    for (field, fits) in [("name", vec![0]), ("count", vec![6]), ("price", vec![1, 5, 6]), ("sold", vec![2])] {
        let filled = FilledView::of(&place, field, kinds.clone()).await;
        let number = |name: &String| name.parse::<usize>().unwrap();
        let ascending: Vec<usize> = filled.sorted(&[field]).await.iter().map(number).collect();
        let mut missing: Vec<usize> = (0..kinds.len()).filter(|number| !fits.contains(number)).collect();
        assert_eq!(ascending[..missing.len()], missing, "{field}");
        let descending: Vec<usize> = filled.sorted(&[&format!("-{field}")]).await.iter().map(number).collect();
        missing.reverse();
        assert_eq!(descending[fits.len()..], missing, "{field}");
        // Page by page the order is the same: each document has a place.
        let paged = walk(&filled, |limit| filled.by(Query::all(limit), &[field]), 1).await;
        assert_eq!(paged.iter().map(number).collect::<Vec<_>>(), ascending, "{field}");
    }
    let filled = FilledView::of(&place, "count", kinds.clone()).await;
    let of = Value::Integer;
    filled
        .expect(
            "count",
            [(Test::AtLeast(of(i64::MIN.into())), &[6][..]), (Test::AtMost(of(u64::MAX.into())), &[6][..])],
        )
        .await;
    filled.expect("count", [(Test::NotEqual(of(1)), &[0, 1, 2, 3, 4, 5][..])]).await;
    let filled = FilledView::of(&place, "name", kinds).await;
    filled
        .expect("name", [(Test::AtLeast(text("")), &[0][..]), (Test::NotEqual(text("1")), &[1, 2, 3, 4, 5, 6][..])])
        .await;
}

async fn a_field_may_be_within_another(place: Place) {
    let documents = [
        ("a", json!({"in": {"name": "x", "deep_1": {"Price": 1.0}}})),
        ("b", json!({"in": {"name": "y"}, "name": "x", "in.name": "x"})),
        // Names that differ in case, and values that contain no fields.
        ("c", json!({"in": {"Name": "x", "deep_1": {"price": 1.0}}})),
        ("d", json!({"in": "x"})),
        ("e", json!({"in": ["x"]})),
        ("f", json!({"in": null})),
    ];
    let filled = FilledView::with(&place, documents).await;
    let found = async |field: &str, test: Test| {
        names(&filled.list(&Query::all(10).filter(&filled.view, field, test).unwrap()).await)
    };
    assert_eq!(found("in.name", Test::Equal(text("x"))).await, ["a"]);
    assert_eq!(found("in.name", Test::NotEqual(text("x"))).await, ["b", "c", "d", "e", "f"]);
    assert_eq!(found("in.deep_1.Price", Test::AtLeast(Value::Real(0.5))).await, ["a"]);
    assert_eq!(filled.sorted(&["in.name"]).await, ["c", "d", "e", "f", "a", "b"]);
}

async fn an_empty_set_of_values_matches_nothing(place: Place) {
    let filled = FilledView::of(&place, "count", [json!(1), json!(null)]).await;
    filled.expect("count", [(Test::In(Vec::new()), &[][..])]).await;
    let hundred: Vec<Value> = (0..100).map(Value::Integer).collect();
    filled.expect("count", [(Test::In(hundred), &[0][..])]).await;
}

async fn a_prefix_is_taken_literally(place: Place) {
    let longer = TEXTS.iter().flat_map(|text| [(*text).to_owned(), format!("{text}a"), format!("{text}\u{10ffff}ü")]);
    let texts: Vec<String> = longer.collect();
    let filled = FilledView::of(&place, "name", texts.iter().map(|text| json!(text)).chain([json!(null)])).await;
    let more = ["a%", "a_", "\u{10ffff}\u{10ffff}", "\u{10ffff}\u{10ffff}\u{10ffff}", "ab", "\u{e000}"];
    for prefix in TEXTS.into_iter().chain(more) {
        let expected: Vec<usize> =
            texts.iter().enumerate().filter(|(_, text)| text.starts_with(prefix)).map(|(number, _)| number).collect();
        filled.expect("name", [(Test::Prefix(prefix.to_owned()), &expected[..])]).await;
    }
}

async fn hostile_texts_are_treated_as_text(place: Place) {
    let documents = TEXTS.iter().skip(1).map(|name| (*name, json!({"name": name, *name: name})));
    let filled = FilledView::with(&place, documents).await;
    let mut rest: Vec<&str> = TEXTS[1..].to_vec();
    // As values, as keys, and as places.
    while let Some(name) = rest.first().copied() {
        let equal = Query::all(10).filter(&filled.view, "name", Test::Equal(text(name))).unwrap();
        let page = filled.list(&equal).await;
        assert_eq!(names(&page), [name]);
        assert_eq!(document(&page.rows[0]), json!({"name": name, name: name}));
        rest.remove(0);
        let place = Behind { values: Vec::new(), key: key(name) };
        assert_eq!(names(&filled.list(&Query::all(100).after(place).unwrap()).await), rest);
        let place = Behind { values: vec![Some(text(name))], key: key(name) };
        let behind = filled.by(Query::all(100), &["name"]).after(place).unwrap();
        assert_eq!(names(&filled.list(&behind).await), rest);
        let unknown = Query::all(1).filter(&filled.view, name, Test::Equal(text(name))).unwrap_err();
        assert!(matches!(unknown, QueryError::UndeclaredField { .. }), "{unknown}");
    }
}

async fn the_first_four_hundred_characters_of_a_text_count(place: Place) {
    let large = |beginning: &str| format!("{beginning}{}", "ü".repeat(200_000));
    let alike = format!("{}{}", "ü".repeat(400), "another end");
    let filled = FilledView::of(&place, "name", [large(""), large("ü")].iter().map(|text| json!(text))).await;
    filled.expect("name", [(Test::Equal(text(&alike)), &[0, 1][..]), (Test::Prefix(alike), &[0, 1][..])]).await;
    let texts = [large("a"), large("b"), large("ü")];
    let filled = FilledView::of(&place, "name", texts.iter().map(|text| json!(text))).await;
    filled.expect("name", [(Test::Equal(text(&texts[1])), &[1][..]), (Test::Greater(text(&texts[1])), &[2][..])]).await;
    filled
        .expect("name", [(Test::Prefix(texts[0].clone()), &[0][..]), (Test::Prefix("".to_owned()), &[0, 1, 2][..])])
        .await;
    let paged = walk(&filled, |limit| filled.by(Query::all(limit), &["-name"]), 1).await;
    assert_eq!(paged, ["002", "001", "000"]);
}

async fn a_document_must_match_all_filters(place: Place) {
    let documents = (0..60).map(|number| {
        (format!("{number:02}"), json!({"count": number, "sold": number % 2 == 0, "price": f64::from(number % 3)}))
    });
    let filled = FilledView::with(&place, documents).await;
    let query = Query::all(100).filter(&filled.view, "sold", Test::Equal(Value::Boolean(true))).unwrap();
    let query = query.filter(&filled.view, "price", Test::In(vec![Value::Real(1.0), Value::Real(2.0)])).unwrap();
    let query = query.filter(&filled.view, "count", Test::AtLeast(Value::Integer(10))).unwrap();
    let query = query.filter(&filled.view, "count", Test::Less(Value::Integer(20))).unwrap();
    assert_eq!(names(&filled.list(&query).await), ["10", "14", "16"]);
    assert_eq!(names(&filled.list(&filled.by(query, &["-count"])).await), ["16", "14", "10"]);
}

async fn an_unsorted_list_is_in_the_order_of_keys(place: Place) {
    let mut documents: Vec<(&str, Json)> = TEXTS.iter().skip(1).map(|name| (*name, json!({}))).collect();
    documents.reverse();
    let filled = FilledView::with(&place, documents).await;
    assert_eq!(filled.sorted(&[]).await, TEXTS[1..]);
}

async fn keys_order_documents_with_equal_fields(place: Place) {
    let documents = ["ä", "a", "B", "10", "9"].map(|name| (name, json!({"count": 7})));
    let filled = FilledView::with(&place, documents).await;
    assert_eq!(filled.sorted(&["count"]).await, ["10", "9", "B", "a", "ä"]);
    // Keys descend if the last field does.
    assert_eq!(filled.sorted(&["-count"]).await, ["ä", "a", "B", "9", "10"]);
    assert_eq!(filled.sorted(&["-count", "name"]).await, ["10", "9", "B", "a", "ä"]);
    assert_eq!(filled.sorted(&["count", "-name"]).await, ["ä", "a", "B", "9", "10"]);
}

async fn documents_without_a_field_come_first_and_last_if_it_descends(place: Place) {
    let documents =
        [("a", json!({"name": ""})), ("b", json!({})), ("c", json!({"name": null})), ("d", json!({"name": "x"}))];
    let filled = FilledView::with(&place, documents).await;
    assert_eq!(filled.sorted(&["name"]).await, ["b", "c", "a", "d"]);
    assert_eq!(filled.sorted(&["-name"]).await, ["d", "a", "c", "b"]);
}

async fn several_fields_sort_in_their_order(place: Place) {
    let mut documents = Vec::new();
    for (first, name) in [json!(null), json!("a"), json!("b")].into_iter().enumerate() {
        for (second, count) in [json!(null), json!(1), json!(2)].into_iter().enumerate() {
            for (third, sold) in [json!(null), json!(false), json!(true)].into_iter().enumerate() {
                let document = json!({"name": name, "count": count, "in": {"deep_1": {"sold": sold}}});
                documents.push((format!("{first}{second}{third}"), document));
            }
        }
    }
    documents.reverse();
    let filled = FilledView::with(&place, documents).await;
    for directions in 0..8 {
        let signs = [0, 1, 2].map(|field| if directions >> field & 1 == 1 { "-" } else { "" });
        let by = [format!("{}name", signs[0]), format!("{}count", signs[1]), format!("{}in.deep_1.sold", signs[2])];
        let by = by.each_ref().map(String::as_str);
        // The digits of a key are the ranks of its values.
        let mut expected: Vec<String> = filled.documents.keys().cloned().collect();
        expected.sort_by_key(|name| {
            let rank = |field: usize| {
                let digit = i32::from(name.as_bytes()[field]);
                if signs[field] == "-" { -digit } else { digit }
            };
            [rank(0), rank(1), rank(2)]
        });
        assert_eq!(filled.sorted(&by).await, expected, "{by:?}");
        for limit in [1, 2, 5, 26, 27] {
            assert_eq!(
                walk(&filled, |limit| filled.by(Query::all(limit), &by), limit).await,
                expected,
                "{by:?} {limit}"
            );
        }
    }
}

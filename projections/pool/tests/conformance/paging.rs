//! Lists page by page, while documents change.

use std::collections::BTreeSet;
use std::sync::Arc;

use dormouse_kernel::Position;
use dormouse_projections::store::{Advance, Begin, Offset};
use dormouse_projections::{Page, Place as Behind, Query, Test, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::filled_view::{FilledView, document, names, row, text, walk};
use crate::oracle;
use crate::support::{Place, key, step};

on_every_store! {
    a_page_has_at_most_its_limit_and_shows_whether_there_is_more,
    a_page_ends_before_a_document_that_has_no_room,
    a_total_counts_the_matching_documents_of_all_pages,
    an_empty_list_has_the_position_of_the_view,
    many_rows_come_in_order,
    the_place_of_a_removed_document_is_still_valid,
    rows_that_stay_are_seen_once_while_others_change_between_pages,
    a_build_that_is_not_served_is_not_listed,
    a_page_is_one_state_while_the_view_moves,
}

async fn a_page_has_at_most_its_limit_and_shows_whether_there_is_more(place: Place) {
    let filled = FilledView::of(&place, "count", (0..5).map(|number| json!(number))).await;
    for (limit, shown) in [(0, 1), (1, 1), (4, 4), (5, 5), (6, 5)] {
        let page = filled.list(&Query::all(limit)).await;
        assert_eq!(page.rows.len(), shown);
        assert_eq!(
            page.next,
            (shown < 5).then(|| Behind { values: Vec::new(), key: page.rows[shown - 1].key.clone() })
        );
        assert_eq!(page.total, None);
        assert_eq!(page.at, Position(1));
    }
    let page = filled.list(&filled.by(Query::all(2), &["-count", "name"])).await;
    let values = vec![Some(Value::Integer(3)), None];
    assert_eq!(page.next, Some(Behind { values, key: key("003") }));
    assert_eq!(page.rows[1], row("003", &json!({"count": 3}), 1));
}

async fn a_page_ends_before_a_document_that_has_no_room(place: Place) {
    let sizes = [10, 30_000, 100, 200_000, 5, 5, 5, 70_000, 10];
    let filled = FilledView::of(&place, "name", sizes.map(|size| json!("x".repeat(size)))).await;
    for by in [&[][..], &["-name"]] {
        let whole = filled.list(&filled.by(Query::all(100).page_bytes(usize::MAX), by)).await.rows;
        assert_eq!(whole.len(), sizes.len());
        for (limit, bytes) in [(100, 0), (100, 1_000), (100, 40_000), (3, 40_000), (100, 250_000), (9, 400_000)] {
            let (mut seen, mut query) = (Vec::new(), filled.by(Query::all(limit).page_bytes(bytes), by));
            loop {
                let page = filled.list(&query).await;
                let taken: usize = page.rows.iter().map(|row| row.document.len()).sum();
                assert!(page.rows.len() == 1 || taken <= bytes && page.rows.len() <= limit, "{taken} of {bytes}");
                seen.extend(page.rows);
                let Some(next) = page.next else { break };
                query = query.after(next).unwrap();
            }
            assert!(seen == whole, "{by:?} {limit} {bytes}: {} of {}", seen.len(), whole.len());
        }
    }
}

async fn a_total_counts_the_matching_documents_of_all_pages(place: Place) {
    let filled = FilledView::of(&place, "count", (0..50).map(|number| json!(number))).await;
    let query = Query::all(3).filter(&filled.view, "count", Test::AtLeast(Value::Integer(40))).unwrap().counting();
    let mut query = filled.by(query, &["-count"]);
    let mut pages = 0;
    while let Page { next: Some(place), total, .. } = filled.list(&query).await {
        assert_eq!(total, Some(10));
        query = query.after(place).unwrap();
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert_eq!(filled.list(&Query::all(1).counting()).await.total, Some(50));
}

async fn an_empty_list_has_the_position_of_the_view(place: Place) {
    let mut filled = FilledView::empty(&place).await;
    let page = |at, total| Page { rows: Vec::new(), at: Position(at), total, next: None };
    assert_eq!(filled.list(&Query::all(5)).await, page(0, None));
    filled.change([("a", json!({"count": 1}))], []).await;
    let none = Query::all(5).filter(&filled.view, "count", Test::Equal(Value::Integer(2))).unwrap();
    assert_eq!(filled.list(&none).await, page(1, None));
    assert_eq!(filled.list(&none.counting()).await, page(1, Some(0)));
    let last = Behind { values: Vec::new(), key: key("a") };
    assert_eq!(filled.list(&Query::all(5).counting().after(last).unwrap()).await, page(1, Some(1)));
}

async fn many_rows_come_in_order(place: Place) {
    const MANY: usize = 6_000;

    let scattered = |number: usize| number * 2_654_435_761 % 15_013;
    let documents = (0..MANY).map(|number| {
        let (name, count) = (scattered(number) % 10, scattered(number * 31));
        (format!("{:05}", scattered(number)), json!({"name": name.to_string(), "count": count, "sold": count % 9 > 0}))
    });
    let filled = FilledView::with(&place, documents).await;
    // Filters that few, many, and no documents match.
    let few = ("name", Test::Equal(text("4")));
    let many = ("sold", Test::Equal(Value::Boolean(true)));
    let range = ("count", Test::Less(Value::Integer(14_000)));
    let none = ("name", Test::Prefix("x".to_owned()));
    for filters in [vec![], vec![&few], vec![&many], vec![&range, &many], vec![&many, &few, &range], vec![&none]] {
        let ask = |limit: usize, by: &[&str]| {
            let query = filters.iter().fold(Query::all(limit), |query, (field, test)| {
                query.filter(&filled.view, field, test.clone()).unwrap()
            });
            filled.by(query, by)
        };
        for by in [&[][..], &["count"], &["-count"], &["name"], &["-name"], &["name", "-count"]] {
            let whole = ask(MANY, by);
            let expected = oracle::list(&filled.documents, &whole);
            assert_eq!(names(&filled.list(&whole).await), expected, "{whole:?}");
            assert_eq!(walk(&filled, |limit| ask(limit, by), 1_700).await, expected, "{whole:?}");
        }
    }
}

async fn the_place_of_a_removed_document_is_still_valid(place: Place) {
    let mut filled = FilledView::of(&place, "count", [json!(null), json!(1), json!(1), json!(1), json!(2)]).await;
    for (by, first, rest) in
        [("count", ["000", "001"], ["002", "003", "004"]), ("-count", ["004", "003"], ["002", "001", "000"])]
    {
        let page = filled.list(&filled.by(Query::all(2), &[by])).await;
        assert_eq!(names(&page), first);
        let place = page.next.unwrap();
        let document = filled.documents[first[1]].clone();
        filled.change([("", json!(null)); 0], [first[1]]).await;
        let behind = filled.by(Query::all(9), &[by]).after(place.clone()).unwrap();
        assert_eq!(names(&filled.list(&behind).await), rest);
        // The document comes back at another place.
        filled.change([(first[1], json!({"count": 1_000}))], []).await;
        let moved: Vec<&str> = rest.into_iter().chain((by == "count").then_some(first[1])).collect();
        assert_eq!(names(&filled.list(&behind).await), moved);
        filled.change([(first[1], document)], []).await;
    }
}

async fn rows_that_stay_are_seen_once_while_others_change_between_pages(place: Place) {
    let mut runner = TestRunner::deterministic();
    let mut random = |most: u64| (0..most).new_tree(&mut runner).unwrap().current();
    for by in [&[][..], &["count"], &["-count"], &["count", "-price"], &["-count", "price", "name"]] {
        let thing = |random: &mut dyn FnMut(u64) -> u64| {
            let count = if random(4) == 0 { json!(null) } else { json!(random(5)) };
            json!({"count": count, "price": random(3) as f64, "name": random(2).to_string()})
        };
        let documents: Vec<_> = (0..120).map(|number| (format!("{number:03}"), thing(&mut random))).collect();
        let mut filled = FilledView::with(&place, documents).await;
        // Every third document stays unchanged.
        let stays = |name: &str| name.parse::<u32>().unwrap() % 3 == 0;
        let (mut seen, mut next) = (Vec::new(), None::<Behind>);
        loop {
            let query = filled.by(Query::all(7), by);
            let page = filled.list(&next.into_iter().fold(query, |query, place| query.after(place).unwrap())).await;
            seen.extend(names(&page).into_iter().filter(|name| stays(name)));
            next = page.next;
            if next.is_none() {
                break;
            }
            let moving: Vec<String> =
                (0..20).map(|_| format!("{:03}", random(160))).filter(|name| !stays(name)).collect();
            let gone: BTreeSet<&str> = moving.iter().map(String::as_str).filter(|_| random(3) == 0).collect();
            let changed: Vec<&String> = moving.iter().filter(|name| !gone.contains(name.as_str())).collect();
            let changed: Vec<_> = changed.into_iter().map(|name| (name.clone(), thing(&mut random))).collect();
            filled.change(changed, gone).await;
        }
        let expected: Vec<String> = filled.sorted(by).await.into_iter().filter(|name| stays(name)).collect();
        assert_eq!(expected.len(), 40);
        assert_eq!(seen, expected, "{by:?}");
    }
}

async fn a_build_that_is_not_served_is_not_listed(place: Place) {
    let filled = FilledView::with(&place, [("old", json!({"count": 1}))]).await;
    let next = filled.store.begin(&filled.view, Offset::START, Begin::Beside).await.unwrap().number;
    let rows = vec![row("new", &json!({"count": 1}), 2)];
    filled.store.commit(&filled.view, next, Advance { rows, ..step(0, 2) }).await.unwrap();
    let query = filled.by(Query::all(9), &["count"]).counting();
    let page = filled.list(&query).await;
    assert_eq!((names(&page), page.at, page.total), (vec!["old".to_owned()], Position(1), Some(1)));
    assert!(filled.store.serve(&filled.view, next).await.unwrap());
    let page = filled.list(&query).await;
    assert_eq!((names(&page), page.at, page.total), (vec!["new".to_owned()], Position(2), Some(1)));
    filled.store.drop_view("things").await.unwrap();
    assert!(filled.store.list(&filled.view, &query).await.is_err());
}

async fn a_page_is_one_state_while_the_view_moves(place: Place) {
    const STEPS: u64 = 300;

    // After step n there are n % 7 documents, each of which says n.
    let filled = FilledView::empty(&place).await;
    let by_count = filled.by(Query::all(100), &["-count"]).counting();
    let some = Query::all(100).filter(&filled.view, "count", Test::AtLeast(Value::Integer(0))).unwrap().counting();
    let readers: Vec<_> = [
        by_count.clone(),
        some,
        by_count.after(Behind { values: vec![Some(Value::Integer(i64::MAX.into()))], key: key("z") }).unwrap(),
    ]
    .into_iter()
    .map(|query| {
        let (store, view) = (Arc::clone(&filled.store), filled.view.clone());
        tokio::spawn(async move {
            let (mut last, mut states) = (Position::ZERO, 0);
            while last < Position(STEPS) {
                let page = store.list(&view, &query).await.unwrap();
                assert!(page.at >= last);
                states += u64::from(page.at > last);
                last = page.at;
                assert_eq!(page.rows.len() as u64, last.0 % 7);
                assert_eq!(page.total, Some(last.0 % 7));
                for row in &page.rows {
                    assert_eq!((document(row), row.position), (json!({"count": last.0}), last));
                }
            }
            states
        })
    })
    .collect();
    for number in 1..=STEPS {
        let (rows, gone) = (0..7)
            .map(|name| format!("{name}"))
            .partition::<Vec<_>, _>(|name| name.parse::<u64>().unwrap() < number % 7);
        let rows = rows.iter().map(|name| row(name, &json!({"count": number}), number)).collect();
        let advance = Advance { rows, gone: gone.iter().map(|name| key(name)).collect(), ..step(number - 1, number) };
        filled.store.commit(&filled.view, filled.build, advance).await.unwrap();
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

//! Lists of documents: filters, orders, pages, and invalid queries.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::read_models::Shop;
use super::support::{Answer, request};

const LIST: &str = "/v1/views/carts";

/// Four carts of two owners, and one without any values.
async fn stocked() -> Shop {
    let shop = Shop::open().await;
    for (id, owner, sku, quantity) in
        [("c-1", "Ada", "tea", 5), ("c-2", "Ben", "tea", 3), ("c-3", "Ada", "cup", 3), ("c-4", "B,\\en", "cup", 9)]
    {
        shop.cart(id, owner, sku, quantity).await;
    }
    let cart = shop.post("/v1/cart/c-5/add-lines", &json!({"lines": [{"sku": "pot", "quantity": 1}]})).await;
    assert_eq!(cart.status, 200);
    shop.add("c-1", "cup", 2).await;
    shop.catch_up().await;
    shop
}

fn keys(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
}

async fn listed(shop: &Shop, query: &str) -> String {
    keys(&shop.get(&format!("{LIST}?{query}")).await).join(" ")
}

/// Checks that a query is refused because of this parameter, and that no event was stored.
async fn refused(shop: &Shop, query: &str, slug: &str, parameter: &str) -> Value {
    let asked = request(Method::GET, &format!("{LIST}?{query}"), &[], Body::empty());
    let problem = shop.refused(asked).await.is_problem(400, slug);
    assert_eq!(problem["parameter"], parameter, "{query}: {problem}");
    problem
}

#[tokio::test]
async fn a_list_has_documents_with_their_keys_and_the_position_of_the_view() {
    let shop = stocked().await;
    let answer = shop.get(&format!("{LIST}?limit=1")).await;
    assert_eq!((answer.status, answer.position()), (200, Some("10")));
    let body = answer.json();
    assert_eq!((&body["position"], body.get("total")), (&json!(10), None));
    let document = json!({
        "owner": {"name": "Ada"}, "lines": [{"sku": "tea", "quantity": 5}, {"sku": "cup", "quantity": 2}],
        "quantity": 7, "average": 3.5, "is_empty": false,
    });
    assert_eq!(body["items"], json!([{"key": "c-1", "position": 10, "document": document}]));
    assert_eq!(listed(&shop, "").await, "c-1 c-2 c-3 c-4 c-5");
    let empty = Shop::open().await.get(LIST).await.json();
    assert_eq!(empty, json!({"items": [], "next": null, "position": 0}));
}

#[tokio::test]
async fn documents_are_filtered_by_every_test() {
    let shop = stocked().await;
    for (query, expected) in [
        ("filter[owner.name]=Ada", "c-1 c-3"),
        ("filter[owner.name][eq]=Ada", "c-1 c-3"),
        ("filter%5Bowner.name%5D=Ada", "c-1 c-3"),
        ("filter[owner.name][ne]=Ada", "c-2 c-4 c-5"),
        ("filter[quantity][lt]=3", "c-5"),
        ("filter[quantity][lte]=3", "c-2 c-3 c-5"),
        ("filter[quantity][gt]=7", "c-4"),
        ("filter[quantity][gte]=7", "c-1 c-4"),
        ("filter[average]=3.5", "c-1"),
        ("filter[is_empty]=false&filter[quantity]=3", "c-2 c-3"),
        ("filter[is_empty]=true", ""),
        ("filter[quantity][gte]=3&filter[quantity][lt]=9", "c-1 c-2 c-3"),
        ("filter[quantity][in]=1,9,100", "c-4 c-5"),
        ("filter[quantity][in]=1.0,9.00,100", "c-4 c-5"),
        ("filter[owner.name][in]=Ben,B%5C,%5C%5Cen", "c-2 c-4"),
        ("filter[owner.name][prefix]=B", "c-2 c-4"),
        ("filter[owner.name][prefix]=B%2C", "c-4"),
        ("filter[owner.name][prefix]=", "c-1 c-2 c-3 c-4"),
        ("filter[owner.name]=", ""),
    ] {
        assert_eq!(listed(&shop, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn documents_come_in_the_requested_order() {
    let shop = stocked().await;
    for (query, expected) in [
        ("sort=quantity", "c-5 c-2 c-3 c-1 c-4"),
        ("sort=-quantity", "c-4 c-1 c-3 c-2 c-5"),
        ("sort=owner.name,-quantity", "c-5 c-1 c-3 c-4 c-2"),
        ("sort=-quantity,owner.name", "c-4 c-1 c-3 c-2 c-5"),
    ] {
        assert_eq!(listed(&shop, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn pages_cover_the_whole_list_while_it_changes() {
    let shop = stocked().await;
    let mut seen = Vec::new();
    let mut next = json!(format!("{LIST}?sort=-average&filter[is_empty]=false&limit=2&total=true"));
    let mut totals = Vec::new();
    while let Some(path) = next.as_str() {
        let page = shop.get(path).await;
        seen.extend(keys(&page));
        next = page.json()["next"].clone();
        totals.push(page.json()["total"].as_u64().unwrap());
        if seen.len() == 2 {
            // The last document that was seen moves in the order, and another one is removed.
            assert_eq!(seen, ["c-4", "c-1"]);
            shop.add("c-1", "pot", 100).await;
            assert_eq!(shop.post("/v1/cart/c-2/clear", &json!({})).await.status, 200);
            shop.catch_up().await;
        }
    }
    assert_eq!((seen.join(" "), totals), ("c-4 c-1 c-3 c-5".to_owned(), vec![5, 4]));
}

#[tokio::test]
async fn the_next_page_has_the_same_query() {
    let shop = stocked().await;
    let next = shop.get(&format!("{LIST}?limit=2&&sort=quantity&fields=quantity")).await.json()["next"].clone();
    let next = next.as_str().unwrap();
    assert!(next.starts_with(&format!("{LIST}?limit=2&sort=quantity&fields=quantity&cursor=")), "{next}");
    let page = shop.get(next).await.json();
    assert_eq!(page["items"][0]["document"], json!({"quantity": 3}));
    assert_eq!(page["next"].as_str().unwrap().matches("cursor").count(), 1);
    // The size of a page and the selected fields may change between pages.
    let cursor = next.split_once("cursor=").unwrap().1;
    assert_eq!(listed(&shop, &format!("sort=quantity&cursor={cursor}")).await, "c-3 c-1 c-4");
    let all = shop.get(LIST).await.json();
    assert_eq!(all["next"], Value::Null);
}

#[tokio::test]
async fn a_list_is_counted_only_on_request() {
    let shop = stocked().await;
    let count = async |query: &str| shop.get(&format!("{LIST}?limit=1&{query}")).await.json().get("total").cloned();
    assert_eq!(count("total=true").await, Some(json!(5)));
    assert_eq!(count("total=true&filter[quantity]=3").await, Some(json!(2)));
    assert_eq!(count("total=false").await, None);
}

#[tokio::test]
async fn only_the_wanted_parts_of_documents_are_sent() {
    let shop = stocked().await;
    let of = async |fields: &str| {
        let list = shop.get(&format!("{LIST}?filter[owner.name]=Ada&fields={fields}")).await.json();
        list["items"].as_array().unwrap().iter().map(|item| item["document"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("quantity").await, [json!({"quantity": 7}), json!({"quantity": 3})]);
    let parts = of("owner.name,lines.sku").await;
    assert_eq!(parts[0], json!({"owner": {"name": "Ada"}, "lines": [{"sku": "tea"}, {"sku": "cup"}]}));
    for fields in ["quantty", "quantity,", "", "owner.nam", "lines.0.sku", "owner..name"] {
        refused_fields(&shop, fields).await;
    }
}

async fn refused_fields(shop: &Shop, fields: &str) {
    let slug = if fields.is_empty() { "invalid-parameter" } else { "undeclared-field" };
    let problem = refused(shop, &format!("fields={fields}"), slug, "fields").await;
    if fields == "quantty" {
        assert_eq!(problem["nearest"], "quantity");
        assert!(problem["declared"].as_array().unwrap().contains(&json!("owner.name")), "{problem}");
    }
}

#[tokio::test]
async fn an_undeclared_field_is_refused_with_the_declared_ones() {
    let shop = stocked().await;
    let declared = json!(["owner.name", "quantity", "average", "is_empty"]);
    for (query, parameter) in [
        ("filter[quantty]=1", "filter[quantty]"),
        ("filter[quantty][gt]=1", "filter[quantty][gt]"),
        ("sort=-quantty", "sort"),
        ("sort=quantity,quantty", "sort"),
    ] {
        let problem = refused(&shop, query, "undeclared-field", parameter).await;
        assert_eq!((&problem["nearest"], &problem["declared"]), (&json!("quantity"), &declared), "{query}");
    }
    let owners = request(Method::GET, "/v1/views/owners?sort=carts", &[], Body::empty());
    let problem = shop.refused(owners).await.is_problem(400, "undeclared-field");
    assert_eq!((problem.get("nearest"), &problem["declared"]), (None, &json!([])));
}

#[tokio::test]
async fn an_invalid_query_is_refused_by_its_parameter() {
    let shop = stocked().await;
    for (query, slug, parameter) in [
        ("filter[quantity]=many", "invalid-parameter", "filter[quantity]"),
        ("filter[quantity]=1.5", "invalid-parameter", "filter[quantity]"),
        ("filter[quantity]=18446744073709551616", "invalid-parameter", "filter[quantity]"),
        ("filter[quantity]=", "invalid-parameter", "filter[quantity]"),
        ("filter[quantity][in]=1,,2", "invalid-parameter", "filter[quantity][in]"),
        ("filter[quantity][prefix]=1", "invalid-parameter", "filter[quantity][prefix]"),
        ("filter[quantity][like]=1", "invalid-parameter", "filter[quantity][like]"),
        ("filter[quantity][]=1", "invalid-parameter", "filter[quantity][]"),
        ("filter[quantity][gt][lt]=1", "invalid-parameter", "filter[quantity][gt][lt]"),
        ("filter[average]=NaN", "invalid-parameter", "filter[average]"),
        ("filter[average]=inf", "invalid-parameter", "filter[average]"),
        ("filter[is_empty]=1", "invalid-parameter", "filter[is_empty]"),
        ("filter[owner.name]=%FF", "invalid-parameter", "filter[owner.name]"),
        ("filter[quantity]=1&filter[quantity]=2", "invalid-parameter", "filter[quantity]"),
        ("filter[]=1", "undeclared-field", "filter[]"),
        ("filter[quantity;drop]=1", "undeclared-field", "filter[quantity;drop]"),
        ("filter=1", "unknown-parameter", "filter"),
        ("filter.quantity=1", "unknown-parameter", "filter.quantity"),
        ("sort=", "undeclared-field", "sort"),
        ("sort=--quantity", "undeclared-field", "sort"),
        ("sort=quantity,-quantity", "invalid-parameter", "sort"),
        ("sort=quantity,average,is_empty,owner.name", "invalid-parameter", "sort"),
        ("sort=quantity&sort=average", "invalid-parameter", "sort"),
        ("limit=0", "invalid-parameter", "limit"),
        ("limit=1001", "invalid-parameter", "limit"),
        ("limit=ten", "invalid-parameter", "limit"),
        ("total=yes", "invalid-parameter", "total"),
        ("cursor=", "invalid-parameter", "cursor"),
        ("cursor=!", "invalid-parameter", "cursor"),
        ("cursor=e30", "invalid-parameter", "cursor"),
        ("offset=10", "unknown-parameter", "offset"),
    ] {
        refused(&shop, query, slug, parameter).await;
    }
    let too_many: Vec<String> = (0..101).map(|number: u32| number.to_string()).collect();
    refused(
        &shop,
        &format!("filter[quantity][in]={}", too_many.join(",")),
        "invalid-parameter",
        "filter[quantity][in]",
    )
    .await;
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let shop = stocked().await;
    let query = "filter[is_empty]=false&sort=-quantity&limit=2";
    let next = shop.get(&format!("{LIST}?{query}")).await.json()["next"].clone();
    let cursor = next.as_str().unwrap().split_once("cursor=").unwrap().1.to_owned();
    // The order of the filters in the address makes no difference.
    let same = format!("sort=-quantity&filter[is_empty]=false&cursor={cursor}");
    assert_eq!(listed(&shop, &same).await, "c-3 c-2 c-5");
    for other in [
        "",
        "sort=-quantity",
        "filter[is_empty]=false",
        "filter[is_empty]=true&sort=-quantity",
        "filter[is_empty]=false&sort=quantity",
        "filter[is_empty]=false&sort=-average",
    ] {
        refused(&shop, &format!("{other}&cursor={cursor}"), "foreign-cursor", "cursor").await;
    }
}

#[tokio::test]
async fn a_cursor_is_checked_when_it_comes_back() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let shop = stocked().await;
    let next = shop.get(&format!("{LIST}?sort=quantity&limit=2")).await.json()["next"].clone();
    let cursor = next.as_str().unwrap().split_once("cursor=").unwrap().1.to_owned();
    let honest: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    let forged = |member: &str, value: Value| {
        let mut cursor = honest.clone();
        cursor[member] = value;
        format!("sort=quantity&cursor={}", URL_SAFE_NO_PAD.encode(cursor.to_string()))
    };
    for (query, slug) in [
        (forged("k", json!("")), "invalid-parameter"),
        (forged("k", json!("a\0b")), "invalid-parameter"),
        (forged("k", json!("k".repeat(1025))), "invalid-parameter"),
        (forged("k", json!(7)), "invalid-parameter"),
        (forged("v", json!([])), "foreign-cursor"),
        (forged("v", json!(["1", "2"])), "foreign-cursor"),
        (forged("v", json!(["many"])), "foreign-cursor"),
        (forged("v", json!([1])), "invalid-parameter"),
        (forged("l", json!("")), "foreign-cursor"),
    ] {
        refused(&shop, &query, slug, "cursor").await;
    }
    // A place is valid although no document was ever there.
    assert_eq!(listed(&shop, &forged("v", json!(["8"]))).await, "c-4");
    assert_eq!(listed(&shop, &forged("v", json!([null]))).await, "c-5 c-2 c-3 c-1 c-4");
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_again() {
    let shop = stocked().await;
    let path = format!("{LIST}?filter[owner.name]=Ada&total=true");
    let tag = shop.get(&path).await.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "the position is not part of the tag: {tag}");
    shop.cart("c-6", "Eve", "tea", 1).await;
    shop.catch_up().await;
    let unchanged = shop.get_with(&path, &[("if-none-match", &tag)]).await;
    assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.position()), (304, "", Some("12")));
    shop.add("c-3", "tea", 1).await;
    shop.catch_up().await;
    assert_eq!(shop.get_with(&path, &[("if-none-match", &tag)]).await.status, 200);
}

#[tokio::test]
async fn a_list_waits_for_the_write_that_its_reader_names() {
    let shop = Shop::open().await;
    for number in 1..=20 {
        let position = shop.cart(&format!("c-{number}"), "Ada", "tea", 1).await.to_string();
        let answer = shop.get_with(LIST, &[("dormouse-min-position", &position)]).await;
        assert_eq!(keys(&answer).len(), number);
    }
}

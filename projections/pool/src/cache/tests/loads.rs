//! Loads in flight: which readers join one, and which results are cached.

use super::*;

#[tokio::test]
async fn a_hundred_readers_of_one_document_load_it_once() {
    let (cache, view_cache) = view();
    let (first, complete) = begin_load(&view_cache, "a").await;
    let mut readers = vec![first];
    for _ in 1..100 {
        readers.push(join_load(&view_cache, "a").await);
    }
    assert_eq!(cache.stats().total.loading, 1);
    complete.send(found("a", 10)).unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap(), found("a", 10));
    }
    let Usage { misses, loads, loading, .. } = cache.stats().total;
    assert_eq!((misses, loads, loading), (100, 1, 0));
}

#[tokio::test]
async fn a_load_that_a_commit_overtakes_is_not_cached() {
    let (_, view_cache) = view();
    let (reader, complete) = begin_load(&view_cache, "a").await;
    commit(&view_cache, &["a"], 10, 11);
    complete.send(found("old", 10)).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), found("old", 10));
    assert_eq!(read(&view_cache, "a", found("new", 11)).await, (found("new", 11), true));
}

#[tokio::test]
async fn a_load_that_a_commit_of_another_document_overtakes_is_cached() {
    let (_, view_cache) = view();
    let (reader, complete) = begin_load(&view_cache, "a").await;
    commit(&view_cache, &["b"], 10, 11);
    complete.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("old", 11), false));
}

#[tokio::test]
async fn a_reader_after_a_commit_does_not_join_a_load_from_before_it() {
    let (_, view_cache) = view();
    let (reader, complete) = begin_load(&view_cache, "a").await;
    commit(&view_cache, &["a"], 10, 11);
    let loaded = tokio::time::timeout(PATIENCE, read(&view_cache, "a", found("new", 11))).await;
    assert_eq!(loaded.expect("the reader does not wait"), (found("new", 11), true));
    complete.send(found("old", 10)).unwrap();
    reader.await.unwrap().unwrap();
    assert_eq!(read(&view_cache, "a", found("?", 11)).await, (found("new", 11), false));
}

#[tokio::test]
async fn a_reader_that_joins_a_load_gets_a_result_that_is_true_at_the_position_it_saw() {
    let (_, view_cache) = view();
    let (reader, complete) = begin_load(&view_cache, "a").await;
    commit(&view_cache, &["b"], 10, 20);
    let second = join_load(&view_cache, "a").await;
    complete.send(found("old", 10)).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), found("old", 10));
    assert_eq!(second.await.unwrap().unwrap(), found("old", 20));
}

#[tokio::test]
async fn a_reader_that_joined_a_cancelled_load_loads_for_itself() {
    let (cache, view_cache) = view();
    let (first, _ends) = begin_load(&view_cache, "a").await;
    let second = {
        let view_cache = Arc::clone(&view_cache);
        tokio::spawn(async move { view_cache.load_document(&key("a"), async { Ok(found("a", 10)) }).await })
    };
    until(|| view_cache.counts().usage().misses == 2).await;
    first.abort();
    assert_eq!(second.await.unwrap().unwrap(), found("a", 10));
    assert_eq!(read(&view_cache, "a", found("?", 10)).await, (found("a", 10), false));
    assert_eq!(cache.stats().total.loading, 0);
}

#[tokio::test]
async fn a_failed_load_is_reported_to_all_its_readers_and_not_cached() {
    let (_, view_cache) = view();
    let (fails, failed) = oneshot::channel::<()>();
    let first = {
        let view_cache = Arc::clone(&view_cache);
        tokio::spawn(async move {
            let load = async {
                failed.await.unwrap();
                Err(Error::Unavailable("a test wants it".to_owned()))
            };
            view_cache.load_document(&key("a"), load).await
        })
    };
    until(|| view_cache.counts().usage().loading == 1).await;
    let second = join_load(&view_cache, "a").await;
    fails.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap_err(), second.await.unwrap().unwrap_err());
    assert_eq!(read(&view_cache, "a", found("a", 10)).await, (found("a", 10), true));
}

#[tokio::test]
async fn a_load_that_shows_an_earlier_state_is_returned_and_not_cached() {
    let (_, view_cache) = view();
    assert_eq!(read(&view_cache, "a", found("old", 7)).await, (found("old", 7), true));
    assert_eq!(read(&view_cache, "a", found("new", 10)).await, (found("new", 10), true));
    assert_eq!(read(&view_cache, "a", found("?", 10)).await, (found("new", 10), false));
}

use tempfile::TempDir;

use super::*;

const CONTEXT: &[u8] = b"the id of a data key";

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("wrapping.keys");
    (directory, path)
}

fn create(path: &Path) -> WrappingKeyId {
    WrappingKeyFile::create(path, Timestamp::UNIX_EPOCH).expect("the file can be written")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the file can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(MODE)).expect("the owner sets permissions");
}

#[tokio::test]
async fn a_key_is_wrapped_by_the_last_line_and_unwrapped_by_any() {
    let (_directory, path) = place();
    let first = create(&path);
    let file = WrappingKeyFile::open(&path).unwrap();
    let secret = SecretKey::random().unwrap();
    let old = file.wrap(&secret, CONTEXT).await.unwrap();
    assert_eq!((&old.by, file.current()), (&first, first.clone()));

    let second = create(&path);
    assert_eq!(file.current(), first, "until it is read again");
    // Before a new key is wrapped: the old line may be removed at any time.
    let new = file.wrap(&secret, CONTEXT).await.unwrap();
    assert_eq!((&new.by, file.current()), (&second, second.clone()));
    for wrapped in [old, new] {
        let back = file.unwrap(&wrapped, CONTEXT).await.unwrap();
        assert_eq!(back.expose(), secret.expose());
        assert!(memchr::memmem::find(&wrapped.bytes, secret.expose()).is_none());
    }
}

#[tokio::test]
async fn a_key_that_another_process_has_begun_to_wrap_with_is_looked_up() {
    let (_directory, path) = place();
    create(&path);
    let behind = WrappingKeyFile::open(&path).unwrap();
    let second = create(&path);
    let secret = SecretKey::random().unwrap();
    let wrapped = WrappingKeyFile::open(&path).unwrap().wrap(&secret, CONTEXT).await.unwrap();
    assert_eq!(behind.unwrap(&wrapped, CONTEXT).await.unwrap().expose(), secret.expose());
    assert_eq!(behind.current(), second);
}

#[tokio::test]
async fn what_was_changed_or_belongs_elsewhere_is_not_unwrapped() {
    let (_directory, path) = place();
    let (first, second) = (create(&path), create(&path));
    let file = WrappingKeyFile::open(&path).unwrap();
    let wrapped = file.wrap(&SecretKey::random().unwrap(), CONTEXT).await.unwrap();
    let refused = WrapError::NotAuthentic(second.clone());
    assert_eq!(file.unwrap(&wrapped, b"another").await.unwrap_err(), refused);
    for at in 0..wrapped.bytes.len() {
        let mut changed = wrapped.clone();
        changed.bytes[at] ^= 1;
        assert_eq!(file.unwrap(&changed, CONTEXT).await.unwrap_err(), refused);
        changed.bytes.truncate(at);
        assert_eq!(file.unwrap(&changed, CONTEXT).await.unwrap_err(), refused);
    }
    let other = Wrapped { by: first.clone(), ..wrapped.clone() };
    assert_eq!(file.unwrap(&other, CONTEXT).await.unwrap_err(), WrapError::NotAuthentic(first));
    let gone = Wrapped { by: WrappingKeyId::new("gone").unwrap(), ..wrapped };
    let refused = file.unwrap(&gone, CONTEXT).await.unwrap_err();
    assert!(refused.to_string().contains("the wrapping key gone is missing"), "{refused}");
}

#[test]
fn a_new_file_is_private_and_its_neighbours_too() {
    let (directory, path) = place();
    let ids = [create(&path), create(&path)];
    assert!(ids.iter().all(|id| id.as_str().starts_with("1970-01-01-")), "{ids:?}");
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_file_that_others_may_access_is_refused() {
    let (_directory, path) = place();
    create(&path);
    for mode in [0o640, 0o604, 0o620, 0o602, 0o601, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = WrappingKeyFile::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("mode {mode:03o}")) && refused.contains("chmod 600"), "{refused}");
        assert!(WrappingKeyFile::create(&path, Timestamp::UNIX_EPOCH).is_err());
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    WrappingKeyFile::open(&path).unwrap();
}

#[test]
fn a_file_with_something_else_is_refused_and_stays() {
    let (_directory, path) = place();
    create(&path);
    let good = fs::read_to_string(&path).unwrap();
    let (id, key) = good.trim_end().split_once(' ').unwrap();
    let file = WrappingKeyFile::open(&path).unwrap();
    for (text, reason) in [
        (String::new(), "no wrapping key"),
        ("\n".to_owned(), "line 1"),
        (format!("{good}\n"), "line 2"),
        (format!("{good}# comment\n"), "line 2"),
        (format!("{good}other\n"), "line 2"),
        (format!("{good}other {key} more\n"), "line 2"),
        (format!("{good}other  {key}\n"), "line 2"),
        (format!(" {good}"), "line 1"),
        (format!("{id} {}\n", &key[..40]), "line 1"),
        (format!("{id} {key}{key}\n"), "line 1"),
        (format!("{id} {}\n", key.replace('=', "")), "line 1"),
        (format!("{good}{good}"), "line 2: an earlier line has the same"),
        (format!("{good}other {key}\n"), "line 2: an earlier line has the same"),
        ("x".repeat(1 << 20), "larger than"),
    ] {
        write(&path, &text);
        let refused = WrappingKeyFile::open(&path).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused} does not say {reason}");
        assert!(!refused.contains(key), "{refused}");
        assert!(file.reload().is_err());
        assert_eq!(file.current().as_str(), id, "the keys that are known stay in use");
        if !text.is_empty() {
            assert!(WrappingKeyFile::create(&path, Timestamp::UNIX_EPOCH).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
    assert!(matches!(WrappingKeyFile::open(&path.join("none")), Err(WrappingKeyFileError::Io { .. })));
    // The last line may lack its end.
    write(&path, good.trim_end());
    create(&path);
    assert_eq!(WrappingKeyFile::open(&path).unwrap().known().keys.len(), 2);
}

#[test]
fn keys_that_are_created_at_the_same_time_are_all_kept() {
    let (_directory, path) = place();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| create(&path));
        }
    });
    assert_eq!(WrappingKeyFile::open(&path).unwrap().known().keys.len(), 16);
}

#[test]
fn debug_shows_no_key() {
    let (_directory, path) = place();
    let id = create(&path);
    let text = fs::read_to_string(&path).unwrap();
    let key = text.trim_end().split_once(' ').unwrap().1;
    let shown = format!("{:?}", WrappingKeyFile::open(&path).unwrap());
    assert!(shown.contains(id.as_str()) && !shown.contains(key), "{shown}");
    assert_eq!(format!("{:?}", SecretKey::random().unwrap()), "SecretKey(***)");
}

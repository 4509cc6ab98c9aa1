//! The entries of all views: one moka cache, bounded in number, bytes and age.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dormouse_config::Cache as Options;
use dormouse_kernel::Position;
use moka::Equivalent;

use super::metric::Counts;
use crate::key::Key;
use crate::limits::ENTRY_BYTES;
use crate::query::Page;
use crate::store::DocumentAt;

#[derive(Clone, Debug)]
pub(super) struct CacheStore(moka::sync::Cache<EntryKey, Content>);

/// What a reader reads of a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Read {
    Document(Key),
    /// A query in its canonical form, which all queries with the same meaning share.
    List(Arc<str>),
}

/// A borrowed [`Read`]: a hit allocates nothing and counts no reference but that of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ReadRef<'a> {
    Document(&'a Key),
    List(&'a Arc<str>),
}

/// What a read found. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Document(DocumentAt),
    List(Arc<Page>),
}

/// The key of an entry. Entries of another generation of the view's cache are unreachable.
#[derive(Debug)]
struct EntryKey {
    generation: u64,
    read: Read,
    /// The counts of the view, which are updated when the entry is removed.
    counts: Arc<Counts>,
}

/// A borrowed [`EntryKey`] for lookups.
#[derive(PartialEq, Eq, Hash)]
struct EntryKeyRef<'a> {
    generation: u64,
    read: ReadRef<'a>,
}

impl CacheStore {
    /// An empty store. `None`: the options turn caching off.
    ///
    /// moka bounds one sum. Each entry weighs its bytes, but at least the average bytes per entry that the options
    /// allow. So neither number nor bytes ever exceed their bound. When the sum is reached, one of them is at least
    /// half of its bound.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let Options { enabled, ttl, entries, size } = options;
        let share = size.as_u64().div_ceil(entries.get());
        let weight = move |key: &EntryKey, content: &Content| {
            u32::try_from(bytes(&key.read, content).max(share)).unwrap_or(u32::MAX)
        };
        let cache = moka::sync::Cache::builder().max_capacity(size.as_u64()).weigher(weight).time_to_live(*ttl);
        let removed = |key: Arc<EntryKey>, content, cause| key.counts.removed(bytes(&key.read, &content), cause);
        enabled.then(|| Self(cache.eviction_listener(removed).build()))
    }

    pub(super) fn get(&self, generation: u64, read: ReadRef<'_>) -> Option<Content> {
        self.0.get(&EntryKeyRef { generation, read })
    }

    pub(super) fn insert(&self, generation: u64, read: Read, content: Content, counts: &Arc<Counts>) {
        // Counted before it is inserted: a worker that finds a count of zero does not look for entries to remove.
        counts.added(bytes(&read, &content));
        self.0.insert(EntryKey { generation, read, counts: Arc::clone(counts) }, content);
    }

    pub(super) fn remove(&self, generation: u64, read: ReadRef<'_>) {
        self.0.invalidate(&EntryKeyRef { generation, read });
    }

    pub(super) fn has(&self, generation: u64, read: ReadRef<'_>) -> bool {
        self.0.contains_key(&EntryKeyRef { generation, read })
    }

    /// Removes all entries of a generation.
    pub(super) fn sweep(&self, generation: u64) {
        for (key, _) in self.0.iter().filter(|(key, _)| key.generation == generation) {
            self.remove(generation, key.read.borrowed());
        }
    }

    /// Removes the entries that have expired or exceed the bounds. Otherwise moka removes them during later reads and
    /// writes.
    pub(super) fn settle(&self) {
        self.0.run_pending_tasks();
    }
}

impl Read {
    pub(super) fn borrowed(&self) -> ReadRef<'_> {
        match self {
            Self::Document(key) => ReadRef::Document(key),
            Self::List(query) => ReadRef::List(query),
        }
    }
}

impl ReadRef<'_> {
    pub(super) fn to_read(self) -> Read {
        match self {
            Self::Document(key) => Read::Document(key.clone()),
            Self::List(query) => Read::List(Arc::clone(query)),
        }
    }
}

impl Content {
    /// The position of the view at which the content is true.
    pub(super) fn at(&self) -> Position {
        match self {
            Self::Document(found) => found.at,
            Self::List(page) => page.at,
        }
    }

    /// The same content with a later position, at which the caller knows it to be true.
    pub(super) fn no_earlier_than(self, position: Position) -> Self {
        let at = self.at().max(position);
        match self {
            Self::Document(found) => Self::Document(DocumentAt { at, ..found }),
            Self::List(page) if page.at == at => Self::List(page),
            Self::List(page) => Self::List(Arc::new(Page { at, ..Arc::unwrap_or_clone(page) })),
        }
    }

    pub(super) fn into_document(self) -> Option<DocumentAt> {
        match self {
            Self::Document(found) => Some(found),
            Self::List(_) => None,
        }
    }

    pub(super) fn into_page(self) -> Page {
        match self {
            Self::List(page) => Arc::unwrap_or_clone(page),
            Self::Document(_) => unreachable!("a query finds a page"),
        }
    }
}

fn bytes(read: &Read, content: &Content) -> u64 {
    let of_read = match read {
        Read::Document(key) => key.as_str().len(),
        Read::List(query) => query.len(),
    };
    let of_content = match content {
        Content::Document(found) => found.document.as_ref().map_or(0, |(document, _)| document.len()),
        Content::List(page) => {
            page.rows.iter().map(|row| row.key.as_str().len() + row.document.len() + size_of_val(row)).sum()
        }
    };
    (of_read + of_content + ENTRY_BYTES) as u64
}

impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        EntryKeyRef { generation: self.generation, read: self.read.borrowed() }.hash(state);
    }
}

impl PartialEq for EntryKey {
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation && self.read == other.read
    }
}

impl Eq for EntryKey {}

impl Equivalent<EntryKey> for EntryKeyRef<'_> {
    fn equivalent(&self, key: &EntryKey) -> bool {
        self.generation == key.generation && self.read == key.read.borrowed()
    }
}
